//go:build !linux

package process

import "os/exec"

// unshare does nothing: the first process then says that it can make no
// sandbox.
func unshare(*exec.Cmd, bool) {}
