package proc

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// bootID tells one boot of the kernel from the next.
func bootID() string {
	id, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(id))
}

// list returns the processes that started at since, in clock ticks after
// boot, or later.
func list(since uint64) ([]info, error) {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	var all []info
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		p, err := lookup(pid)
		if err == nil && p.start < since {
			continue
		}
		if err == nil {
			p.mark, p.known, err = readMark(pid)
		}
		if short(err) {
			return nil, err
		}
		if err == nil { // else it has ended, or is hidden
			all = append(all, p)
		}
	}
	return all, nil
}

// short says that there was no file to ask the kernel through.
func short(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

// gone says of a failed lookup that there is no such process.
func gone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH)
}

// lookup reads /proc/PID/stat; proc_pid_stat(5) numbers its fields from 1.
func lookup(pid int) (info, error) {
	path := "/proc/" + strconv.Itoa(pid) + "/stat"
	data, err := os.ReadFile(path)
	if err != nil {
		return info{}, err
	}
	// The second field is the program's name in brackets, and may hold any byte.
	fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
	if len(fields) < 20 {
		return info{}, fmt.Errorf("%s: %q is not understood", path, data)
	}
	p := info{pid: pid, zombie: fields[0] == "Z" || fields[0] == "X"}
	for i, n := range []*int{&p.ppid, &p.pgid, &p.sid} {
		if *n, err = strconv.Atoi(fields[1+i]); err != nil {
			return info{}, fmt.Errorf("%s: %w", path, err)
		}
	}
	if p.start, err = strconv.ParseUint(fields[22-3], 10, 64); err != nil {
		return info{}, fmt.Errorf("%s: %w", path, err)
	}
	var st syscall.Stat_t
	if err := syscall.Stat("/proc/"+strconv.Itoa(pid), &st); err != nil {
		return info{}, err
	}
	p.uid = int(st.Uid)
	return p, nil
}

// memory reads the proportional size of a process, in which memory that n
// share counts for 1/n in each; or its resident size, where that is denied.
func memory(pid int) (int64, error) {
	dir := "/proc/" + strconv.Itoa(pid)
	size, err := sizeOf(dir+"/smaps_rollup", "Pss:")
	if err != nil {
		size, err = sizeOf(dir+"/status", "VmRSS:")
	}
	return size, err
}

// sizeOf reads a line like "Pss:   12 kB"; 0 when there is none, as for a
// process that has ended.
func sizeOf(file, name string) (int64, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(data)) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[0] == name {
			kb, err := strconv.ParseInt(fields[1], 10, 64)
			return kb << 10, err
		}
	}
	return 0, nil
}

func readMark(pid int) (mark string, known bool, err error) {
	env, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ")
	if short(err) {
		return "", false, err
	}
	if err != nil {
		return "", false, nil
	}
	for i, kv := range strings.Split(string(env), "\x00") {
		name, value, ok := strings.Cut(kv, "=")
		if i == 0 && (!ok || name == "") {
			return "", false, nil // empty, or written over
		}
		if name == markVar {
			return value, true, nil
		}
	}
	return "", true, nil
}

// awaitExit returns when the leader has ended, and leaves a child to be waited
// for.
func awaitExit(r *record) {
	fd, err := unix.PidfdOpen(r.PID, 0)
	if err != nil { // gone, a kernel before 5.3, or no file to be had
		for !r.ended() {
			time.Sleep(50 * time.Millisecond)
		}
		return
	}
	defer unix.Close(fd)
	for !r.ended() {
		_, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, -1)
		if err != unix.EINTR {
			return
		}
	}
}

// sealInherited keeps descriptors that this process was itself started with
// from reaching its children; the ones that Go opens never do.
func sealInherited() {
	if unix.CloseRange(3, ^uint(0), unix.CLOSE_RANGE_CLOEXEC) == nil {
		return
	}
	names, _ := os.ReadDir("/proc/self/fd") // a kernel before 5.11
	for _, name := range names {
		if fd, err := strconv.Atoi(name.Name()); err == nil && fd > 2 {
			unix.CloseOnExec(fd)
		}
	}
}
