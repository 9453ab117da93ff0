//go:build linux

package escape

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// processes are attempts on what runs.
func processes() []try {
	return []try{
		{"see another app's processes, or niwa's", see},
		{"read another app's environment, or niwa's", environment},
		{"read another app's memory, or niwa's", func(t Targets) (string, error) { return each(t.pids(), memory) }},
		{"trace another app's processes, or niwa", func(t Targets) (string, error) { return each(t.pids(), trace) }},
		{"signal another app's processes, or niwa", func(t Targets) (string, error) { return each(t.pids(), signal) }},
		{"reach their files through /proc", func(t Targets) (string, error) { return each(t.pids(), through) }},
		{"find something of niwa's in one's own environment", inherited},
		{"find open files of niwa's in one's own process", descriptors},
		{"put oneself before all others: nice, real time", prioritize},
	}
}

func (t Targets) pids() []int { return append([]int{t.Niwa}, t.Others...) }

// see looks whether a process is there that is known by its command line.
func see(t Targets) (string, error) {
	return each(all("/proc/[0-9]*/cmdline"), func(path string) error {
		line, err := os.ReadFile(path)
		if err != nil {
			return short(err)
		}
		if text := string(line); !strings.Contains(text, "\x00--data\x00"+t.Data) && !strings.HasPrefix(text, "./echo\x00") {
			return errors.New("only one's own are there")
		}
		return nil
	})
}

func environment(t Targets) (string, error) {
	return each(all("/proc/[0-9]*/environ"), func(path string) error {
		env, err := os.ReadFile(path)
		if err != nil {
			return short(err)
		}
		if !strings.Contains(string(env), SecretName+"="+string(t.Secret)) {
			return errors.New("only one's own are there")
		}
		return nil
	})
}

func all(pattern string) []string {
	names, err := filepath.Glob(pattern)
	if err != nil {
		panic(err) // the patterns are constants
	}
	return names
}

// stranger says that a number is that of a process which is not one's own: in
// a namespace they begin at 1 again.
func stranger(pid int) error {
	session, err := unix.Getsid(pid)
	if err != nil {
		return err
	}
	if own, err := unix.Getsid(0); err == nil && own == session {
		return unix.ESRCH
	}
	return nil
}

func memory(pid int) error {
	if err := stranger(pid); err != nil {
		return err
	}
	f, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		return short(err)
	}
	return f.Close()
}

func trace(pid int) error {
	if err := stranger(pid); err != nil {
		return err
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.PtraceAttach(pid); err != nil {
		return err
	}
	var status unix.WaitStatus
	_, err := unix.Wait4(pid, &status, unix.WALL, nil)
	return errors.Join(err, unix.PtraceDetach(pid))
}

func signal(pid int) error {
	if err := stranger(pid); err != nil {
		return err
	}
	return unix.Kill(pid, 0)
}

func through(pid int) error {
	if err := stranger(pid); err != nil {
		return err
	}
	for _, dir := range []string{"root", "cwd", "fd"} {
		if _, err := os.ReadDir(fmt.Sprintf("/proc/%d/%s", pid, dir)); err == nil {
			return nil
		}
	}
	return unix.EACCES
}

func inherited(t Targets) (string, error) {
	if os.Getenv(SecretName) != "" {
		return SecretName, nil
	}
	return "", errors.New("nothing of it is there")
}

func descriptors(Targets) (string, error) {
	var open []string
	for _, path := range all("/proc/self/fd/*") {
		number, err := strconv.Atoi(filepath.Base(path))
		if err != nil {
			return "", err
		}
		to, err := os.Readlink(path)
		// Go's own runtime keeps a look on the limits of the CPU; and one has
		// been for this list.
		if err != nil || number <= 2 || strings.HasPrefix(to, "anon_inode:") || strings.HasPrefix(to, "/sys/fs/cgroup/") {
			continue
		}
		open = append(open, fmt.Sprintf("%d: %s", number, to))
	}
	if len(open) == 0 {
		return "", errors.New("only one's own are there")
	}
	return strings.Join(open, ", "), nil
}

func prioritize(Targets) (string, error) {
	if err := unix.Setpriority(unix.PRIO_PROCESS, 0, -20); err == nil {
		return "nice -20", nil
	}
	attr := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: 1}
	if err := unix.SchedSetAttr(0, &attr, 0); err != nil {
		return "", err
	}
	return "real time", nil
}
