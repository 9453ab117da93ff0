package platformtest_test

import (
	"syscall"

	"golang.org/x/sys/unix"
)

func prlimit(pid int, to, was *syscall.Rlimit) error {
	return unix.Prlimit(pid, unix.RLIMIT_NOFILE, (*unix.Rlimit)(to), (*unix.Rlimit)(was))
}
