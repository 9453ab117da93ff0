package apptest

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

// server is a process of this machine that the test starts and may kill.
type server struct {
	cmd  *exec.Cmd
	log  *buffer
	done chan struct{}
}

type buffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// start starts a server that is killed with the test, and so is all that it
// has started.
func start(t *testing.T, env []string, dir, name string, args ...string) *server {
	t.Helper()
	s := &server{cmd: unprivileged(exec.Command(name, args...)), log: &buffer{}, done: make(chan struct{})}
	s.cmd.Env, s.cmd.Dir = env, dir
	s.cmd.SysProcAttr.Setpgid = true
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	s.cmd.WaitDelay = 5 * time.Second
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		s.cmd.Wait()
		close(s.done)
	}()
	t.Cleanup(func() { s.end(t, syscall.SIGKILL) })
	return s
}

// end sends a signal and waits until the server has ended.
func (s *server) end(t *testing.T, sig syscall.Signal) {
	t.Helper()
	s.signal(sig)
	select {
	case <-s.done:
	case <-time.After(30 * time.Second):
		t.Fatalf("%s does not end at %v:\n%s", s.cmd.Path, sig, s.log)
	}
}

// signal reaches all of a server, as a platform does it; and one that has
// ended, to no effect.
func (s *server) signal(sig syscall.Signal) { _ = syscall.Kill(-s.cmd.Process.Pid, sig) }

// unprivileged makes root run a command as nobody: PostgreSQL insists.
func unprivileged(cmd *exec.Cmd) *exec.Cmd {
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	if os.Geteuid() == 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
	}
	return cmd
}

const nobody = 65534

// dir is a folder of the servers' user.
func dir(t *testing.T) string {
	t.Helper()
	path := t.TempDir()
	for d := path; d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if os.Geteuid() == 0 {
		if err := os.Chown(path, nobody, nobody); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// await waits until check finds that a server answers.
func await(t *testing.T, s *server, check func(context.Context) error) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		err := check(ctx)
		cancel()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("still %v:\n%s", err, s.log)
		}
		select {
		case <-s.done:
			t.Fatalf("%s has ended:\n%s", s.cmd.Path, s.log)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
