package stack

import (
	"os/exec"
	"syscall"
)

// isolate gives a program its own tree of processes and mounts, of which
// nothing is left once the program, or niwa, has ended.
func isolate(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS,
		Pdeathsig:  syscall.SIGKILL,
	}
}
