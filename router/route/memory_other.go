//go:build unix && !linux

package route

func preferHugePages([]byte) {}
