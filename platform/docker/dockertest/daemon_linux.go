package dockertest

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"niwa/platform/docker"
	"niwa/platform/platformtest/need"
)

// patience is how long an engine may take to start or to end.
const patience = time.Minute

// Daemon is an engine of the test's own.
type Daemon struct {
	dir    string
	bridge string
	cmd    *exec.Cmd
}

// New starts an engine, which DOCKER_HOST names for the rest of the test. Its
// containers reach each other and this machine, but nothing beyond.
func New(t testing.TB) *Daemon {
	t.Helper()
	need.Root(t)
	need.Tool(t, "dockerd", "/usr/sbin")
	if _, err := docker.Connect(t.Context(), ""); err != nil {
		need.Reason(t, "needs a running Docker engine: where none runs, none of the test's own will")
	}
	dir, err := os.MkdirTemp("/var/tmp", "niwa-dockerd-") // the names of sockets are short
	if err != nil {
		t.Fatal(err)
	}
	d := &Daemon{dir: dir, bridge: "niwa-" + strconv.Itoa(os.Getpid())}
	// Without a bridge of its own an engine would take docker0 away from the
	// machine's.
	if out, err := exec.Command(need.Tool(t, "ip"), "link", "add", d.bridge, "type", "bridge").CombinedOutput(); err != nil {
		t.Fatalf("ip link add: %v\n%s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("ip", "link", "del", d.bridge).CombinedOutput(); err != nil {
			t.Errorf("ip link del: %v\n%s", err, out)
		}
	})
	t.Setenv("DOCKER_HOST", "unix://"+filepath.Join(dir, "s"))
	d.Start(t)
	t.Cleanup(func() { d.remove(t) })
	return d
}

// Start starts the engine after Kill, and returns when it answers.
func (d *Daemon) Start(t testing.TB) {
	t.Helper()
	in := func(name string) string { return filepath.Join(d.dir, name) }
	d.cmd = exec.Command("dockerd", "-H", "unix://"+in("s"), "--data-root", in("data"), "--exec-root", in("x"), "--pidfile", in("pid"),
		"--bridge", d.bridge, "--iptables=false", "--ip-forward=false")
	log, err := os.Create(in("log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	d.cmd.Stdout, d.cmd.Stderr = log, log
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		e, err := docker.Connect(context.Background(), "")
		if err == nil {
			_ = e.Close()
			return
		}
		if time.Now().After(deadline) {
			said, _ := os.ReadFile(log.Name())
			t.Fatalf("%v\n%s", err, said)
		}
	}
}

// Kill kills the engine, and returns when its own containerd has noticed.
func (d *Daemon) Kill(t testing.TB) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(d.dir, "x", "containerd", "containerd.pid"))
	if err != nil {
		t.Fatal(err)
	}
	containerd, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	if err := d.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = d.cmd.Wait()
	for deadline := time.Now().Add(patience); syscall.Kill(containerd, 0) == nil; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the engine's containerd runs on")
		}
	}
}

// Hang stops the engine from answering, until Resume.
func (d *Daemon) Hang(t testing.TB)   { d.signal(t, syscall.SIGSTOP) }
func (d *Daemon) Resume(t testing.TB) { d.signal(t, syscall.SIGCONT) }

func (d *Daemon) signal(t testing.TB, sig syscall.Signal) {
	t.Helper()
	if err := d.cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
}

// remove ends the engine and removes all that is left of it.
func (d *Daemon) remove(t testing.TB) {
	_ = d.cmd.Process.Signal(syscall.SIGCONT)
	_ = d.cmd.Process.Signal(syscall.SIGTERM)
	_ = d.cmd.Wait()
	mounts, err := os.ReadFile("/proc/mounts")
	if err != nil {
		t.Fatal(err)
	}
	var left []string
	for line := range strings.Lines(string(mounts)) {
		if at := strings.Fields(line)[1]; strings.HasPrefix(at, d.dir) {
			left = append(left, at)
		}
	}
	for _, at := range slices.Backward(left) {
		if err := syscall.Unmount(at, syscall.MNT_DETACH); err != nil {
			t.Errorf("%s: %v", at, err)
		}
	}
	if err := os.RemoveAll(d.dir); err != nil {
		t.Error(err)
	}
}
