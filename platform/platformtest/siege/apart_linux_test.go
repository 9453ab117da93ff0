package siege

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// stage is the environment variable that tells this program how far it is on
// its way into a network of its own.
const stage = "NIWA_SIEGE_NETWORK"

// apart runs the test once more, in a network that has nobody else in it, and
// says how that went: what mallory takes of it, as the ports that dynos would
// get, is then missed by no other test. Where it has not run, it is to go on
// here: in such a network, or not alone, because there can be none.
func apart(t *testing.T) (ran, alone bool) {
	t.Helper()
	switch os.Getenv(stage) {
	case "in":
		t.Setenv(stage, "")
		return false, true
	case "down":
		t.Fatalf("cannot go on in a network of its own: %v", enter())
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+strings.ReplaceAll(t.Name(), "/", "$/^")+"$", "-test.v", "-test.timeout=5m", fmt.Sprint("-update=", *update))
	cmd.Env = append(os.Environ(), stage+"=down")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET}
	if uid, gid := os.Geteuid(), os.Getegid(); uid != 0 {
		cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: uid, HostID: uid, Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: gid, HostID: gid, Size: 1}}
		cmd.SysProcAttr.AmbientCaps = []uintptr{unix.CAP_NET_ADMIN}
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Logf("on the network of the machine, because there can be no other: %v", err)
		return false, false
	}
	err := cmd.Wait()
	t.Logf("in a network of its own:\n%s", &out)
	if err != nil {
		t.Errorf("in a network of its own: %v", err)
	}
	return true, true
}

// enter brings the network up, gives up the right to, and starts this program
// again.
func enter() error {
	runtime.LockOSThread() // whose rights they are
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	loopback, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	loopback.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, loopback); err != nil {
		return os.NewSyscallError("lo up", err)
	}
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return os.NewSyscallError("prctl", err)
	}
	env := []string{stage + "=in"}
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, stage+"=") {
			env = append(env, v)
		}
	}
	return unix.Exec("/proc/self/exe", os.Args, env)
}
