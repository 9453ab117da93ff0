//go:build !linux

package platformtest_test

import (
	"errors"
	"syscall"
)

func prlimit(int, *syscall.Rlimit, *syscall.Rlimit) error { return errors.ErrUnsupported }
