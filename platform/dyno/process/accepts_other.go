//go:build !linux

package process

// listensAlone believes whoever listens: nobody says here who it is.
func listensAlone(int, int) bool { return true }
