//go:build linux

package escape

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// privileges are attempts to be more than an app's user, and on the machine.
func privileges() []try {
	return []try{
		{"become root by a setuid program", setuid},
		{"become root by asking", func(Targets) (string, error) { return "uid 0", unix.Setuid(0) }},
		{"have a capability", capability},
		{"mount a file system", func(Targets) (string, error) { return mount("/tmp") }},
		{"mount /proc anew", func(Targets) (string, error) { return mount("/proc") }},
		{"take the covers off in namespaces of one's own", unshared},
		{"leave through chroot", func(Targets) (string, error) { return "/", unix.Chroot("/") }},
		{"make a device", device},
		{"open disks and memory", func(Targets) (string, error) { return each(devices(), open) }},
		{"change kernel settings", func(Targets) (string, error) {
			return each([]string{"/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/proc/sys/vm/drop_caches", "/proc/sys/net/ipv4/ip_forward"}, open)
		}},
		{"change control groups", groups},
		{"be killed last when memory is short", func(Targets) (string, error) {
			return "oom_score_adj -1000", short(os.WriteFile("/proc/self/oom_score_adj", []byte("-1000"), 0))
		}},
		{"load a kernel module", func(Targets) (string, error) {
			err := unix.InitModule([]byte("no module"), "")
			if errors.Is(err, unix.ENOEXEC) {
				err = nil // it was looked at
			}
			return "it was looked at", err
		}},
		{"set the clock", clock},
		{"rename the machine", rename},
	}
}

// setuid starts setuid programs, which would go on to ask for a password, and
// looks who they run as.
func setuid(Targets) (string, error) {
	var programs []string
	for _, dir := range []string{"/bin", "/usr/bin", "/usr/sbin", "/usr/local/bin"} {
		for _, path := range all(dir + "/*") {
			if info, err := os.Stat(path); err == nil && info.Mode()&fs.ModeSetuid != 0 {
				programs = append(programs, path)
			}
		}
	}
	if len(programs) == 0 {
		return "", errors.New("there is none")
	}
	return each(programs, asRoot)
}

func asRoot(program string) error {
	cmd := exec.Command(program)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return short(err)
	}
	defer func() { stdin.Close(); cmd.Process.Kill(); cmd.Wait() }()
	for range 50 {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid))
		if err != nil {
			return short(err)
		}
		var real, effective int
		_, ids, _ := strings.Cut(string(status), "\nUid:")
		if _, err := fmt.Sscan(ids, &real, &effective); err != nil {
			return err
		}
		if effective == 0 && real != 0 {
			return nil
		}
		time.Sleep(time.Millisecond)
	}
	return errors.New("it runs as who started it")
}

func capability(Targets) (string, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return "", err
	}
	_, rest, _ := strings.Cut(string(status), "CapEff:")
	set := strings.Fields(rest)[0]
	if strings.Trim(set, "0") == "" {
		return "", errors.New("the effective set is empty")
	}
	return set, nil
}

func mount(on string) (string, error) {
	kind := "tmpfs"
	if on == "/proc" {
		kind = "proc"
	}
	if err := unix.Mount(kind, on, kind, 0, ""); err != nil {
		return "", err
	}
	return on, unix.Unmount(on, unix.MNT_DETACH)
}

// unshared starts this program again where it has every capability that a user
// namespace gives, to look there for what is hidden here.
func unshared(Targets) (string, error) {
	cmd := exec.Command("/proc/self/exe", "uncover")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	out, err := cmd.CombinedOutput()
	if err != nil && len(out) > 0 {
		return "", errors.New(string(bytes.TrimSpace(out)))
	}
	return string(bytes.TrimSpace(out)), short(err)
}

// uncover takes away what it can of what is mounted, from the top, and then
// looks for what is hidden.
func uncover() error {
	var t Targets
	if err := json.Unmarshal([]byte(os.Getenv(Variable)), &t); err != nil {
		return err
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	removed := 0
	for _, line := range slices.Backward(strings.Split(string(mounts), "\n")) {
		if f := strings.Fields(line); len(f) > 4 && f[4] != "/" && unix.Unmount(f[4], unix.MNT_DETACH) == nil {
			removed++
		}
	}
	found, err := each(append(t.Platforms, t.Theirs...), read)
	if err != nil {
		return fmt.Errorf("%d mounts could be taken away, and then: %w", removed, err)
	}
	fmt.Println(found)
	return nil
}

func device(Targets) (string, error) {
	path := filepath.Join("/tmp", "escape-device")
	defer os.Remove(path)
	if err := unix.Mknod(path, unix.S_IFCHR|0o666, int(unix.Mkdev(1, 1))); err != nil {
		return "", err
	}
	return "memory", open(path)
}

func devices() []string {
	found := []string{"/dev/mem", "/dev/kmem", "/dev/port", "/dev/kmsg"}
	for _, pattern := range []string{"/dev/sd*", "/dev/vd*", "/dev/nvme*", "/dev/xvd*", "/dev/dm-*", "/dev/loop*", "/dev/mapper/*"} {
		found = append(found, all(pattern)...)
	}
	return found
}

// open opens for writing what is there, and writes nothing.
func open(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return short(err)
	}
	return f.Close()
}

// groups tries to leave the group that limits one, or to lift its limits.
func groups(Targets) (string, error) {
	var found []string
	_ = filepath.WalkDir("/sys/fs/cgroup", func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return nil
		}
		switch e.Name() {
		case "cgroup.procs", "tasks", "memory.limit_in_bytes", "memory.max", "pids.max", "release_agent", "cpu.shares", "cpu.weight":
			found = append(found, path)
		}
		return nil
	})
	if len(found) == 0 {
		return "", errors.New("there is none to be seen")
	}
	return each(found, open)
}

func clock(Targets) (string, error) {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_REALTIME, &now); err != nil {
		return "", err
	}
	return "now", unix.ClockSettime(unix.CLOCK_REALTIME, &now)
}

func rename(Targets) (string, error) {
	name, err := os.Hostname()
	if err != nil {
		return "", err
	}
	return name, unix.Sethostname([]byte(name))
}

// packets opens sockets that get what others send.
func packets(Targets) (string, error) {
	const all = 0x0300 // ETH_P_ALL in the order of the network
	for name, open := range map[string]func() (int, error){
		"packet socket": func() (int, error) { return unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, all) },
		"raw socket":    func() (int, error) { return unix.Socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_TCP) },
	} {
		if fd, err := open(); err == nil {
			return name, unix.Close(fd)
		}
	}
	return "", unix.EPERM
}
