package proc

import (
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// bootID tells one boot of the kernel from the next.
func bootID() string {
	id, _ := unix.Sysctl("kern.bootsessionuuid")
	return id
}

// list returns the processes that started at since, in microseconds, or
// later. Other processes' environments and sessions are out of reach here:
// group and descent have to do.
func list(since uint64) ([]info, error) {
	kinfos, err := unix.SysctlKinfoProcSlice("kern.proc.all")
	if err != nil {
		return nil, os.NewSyscallError("sysctl kern.proc.all", err)
	}
	var all []info
	for i := range kinfos {
		if p := fromKinfo(&kinfos[i]); p.start >= since {
			all = append(all, p)
		}
	}
	return all, nil
}

// gone says of a failed lookup that there is no such process: the answer has
// no entry then.
func gone(err error) bool { return errors.Is(err, unix.EIO) || errors.Is(err, unix.ESRCH) }

func lookup(pid int) (info, error) {
	k, err := unix.SysctlKinfoProc("kern.proc.pid", pid)
	if err != nil {
		return info{}, os.NewSyscallError("sysctl kern.proc.pid", err)
	}
	return fromKinfo(k), nil
}

func fromKinfo(k *unix.KinfoProc) info {
	const szomb = 5 // SZOMB of <sys/proc.h>
	return info{
		pid:    int(k.Proc.P_pid),
		ppid:   int(k.Eproc.Ppid),
		pgid:   int(k.Eproc.Pgid),
		uid:    int(k.Eproc.Ucred.Uid),
		start:  uint64(k.Proc.P_starttime.Sec)*1e6 + uint64(k.Proc.P_starttime.Usec),
		zombie: k.Proc.P_stat == szomb,
	}
}

// memory asks ps, which may ask the kernel for what others may not.
func memory(pid int) (int64, error) {
	out, err := exec.Command("ps", "-o", "rss=", "-p", strconv.Itoa(pid)).Output()
	if err != nil {
		return 0, err
	}
	kb, err := strconv.ParseInt(strings.TrimSpace(string(out)), 10, 64)
	return kb << 10, err
}

// awaitExit returns when the leader has ended, and leaves a child to be waited
// for.
func awaitExit(r *record) {
	kq, err := unix.Kqueue()
	if err != nil { // no file to be had
		for !r.ended() {
			time.Sleep(50 * time.Millisecond)
		}
		return
	}
	defer unix.Close(kq)
	event := unix.Kevent_t{Ident: uint64(r.PID), Filter: unix.EVFILT_PROC, Flags: unix.EV_ADD | unix.EV_ONESHOT, Fflags: unix.NOTE_EXIT}
	for {
		// Adding it fails with ESRCH when it has ended already.
		n, err := unix.Kevent(kq, []unix.Kevent_t{event}, make([]unix.Kevent_t, 1), nil)
		if n > 0 || err != unix.EINTR {
			return
		}
	}
}

// sealInherited keeps descriptors that this process was itself started with
// from reaching its children; the ones that Go opens never do.
func sealInherited() {
	names, _ := os.ReadDir("/dev/fd")
	for _, name := range names {
		if fd, err := strconv.Atoi(name.Name()); err == nil && fd > 2 {
			unix.CloseOnExec(fd)
		}
	}
}
