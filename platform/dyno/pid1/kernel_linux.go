package pid1

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// ownGroup says whether the command leads a group of its own, and this process
// is not meant when it sends a signal to that.
const ownGroup = true

// self is the program that runs, even where another has taken its path.
func self() (string, error) { return "/proc/self/exe", nil }

// renounce gives up, for this thread and all that it starts, every capability
// and whatever a setuid program would give; and closes this process to the
// dyno's, which have the same user. Processes whose parents have ended become
// this one's children even where it is not the first of a namespace.
func renounce() error {
	for _, option := range []struct {
		name  string
		code  int
		value uintptr
	}{
		{"no new privileges", unix.PR_SET_NO_NEW_PRIVS, 1},
		{"not dumpable", unix.PR_SET_DUMPABLE, 0},
		{"child subreaper", unix.PR_SET_CHILD_SUBREAPER, 1},
	} {
		if err := unix.Prctl(option.code, option.value, 0, 0, 0); err != nil {
			return fmt.Errorf("prctl, %s: %w", option.name, err)
		}
	}
	// The keys of who started niwa stay with them. A kernel without keys, or one
	// that is told to give none, has nothing to leave.
	_, _ = unix.KeyctlJoinSessionKeyring("")
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	if err := unix.Capset(&header, &none[0]); err != nil {
		return fmt.Errorf("capset: %w", err)
	}
	return nil
}

// limitProcesses limits this user's processes.
func limitProcesses(n int) error {
	if n == 0 {
		return nil
	}
	limit := unix.Rlimit{Cur: uint64(n), Max: uint64(n)}
	return os.NewSyscallError("setrlimit", unix.Setrlimit(unix.RLIMIT_NPROC, &limit))
}

// unread is how many bytes wait in a pipe; 0 for what is none.
func unread(f *os.File) int {
	n, err := unix.IoctlGetInt(int(f.Fd()), unix.TIOCINQ)
	if err != nil {
		return 0
	}
	return n
}
