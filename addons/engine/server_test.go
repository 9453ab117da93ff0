package engine_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"niwa/addons/engine"
	"niwa/platform/pki"
	"niwa/platform/proc"
)

// home opens a provider's directory with a process table of its own.
func home(t *testing.T, dir string, procs *proc.Table) *engine.Home {
	t.Helper()
	ca, err := pki.Open(filepath.Join(dir, "ca"))
	if err != nil {
		t.Fatal(err)
	}
	h, err := engine.Open(engine.Config{Dir: dir, CA: ca, Procs: procs, Log: slog.New(slog.NewTextHandler(&syncBuffer{}, nil))})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func openProcs(t *testing.T, dir string) *proc.Table {
	t.Helper()
	procs, err := proc.Open(filepath.Join(dir, "procs"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = procs.Close(context.Background()) })
	return procs
}

// shell is a server written in sh: it answers once the file "up" exists, and
// says goodbye into "down".
func shell(t *testing.T, script string) (*engine.Server, *proc.Table, string) {
	t.Helper()
	dir := publicDir(t)
	procs := openProcs(t, dir)
	return shellIn(home(t, dir, procs), script), procs, dir
}

func shellIn(h *engine.Home, script string) *engine.Server {
	work := filepath.Join(h.Dir, "work")
	up := filepath.Join(work, "up")
	return &engine.Server{
		Task: engine.Task{
			ID: "shell", Dir: work, Args: []string{"/bin/sh", "-c", script},
			Log: filepath.Join(h.Dir, "log"), Signal: syscall.SIGTERM,
			Check: func() error {
				if err := os.Remove(up); err != nil && !errors.Is(err, os.ErrNotExist) {
					return err
				}
				return h.User.MkdirAll(work)
			},
		},
		Launcher: h.Processes(),
		Ready: func(context.Context) error {
			_, err := os.Stat(up)
			return err
		},
		Grace: 5 * time.Second,
		Log:   h.Log,
	}
}

// publicDir is a directory that the servers' user can pass through.
func publicDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for up := dir; up != os.TempDir() && up != "/"; up = filepath.Dir(up) {
		if err := os.Chmod(up, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

type syncBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

const serve = `trap 'echo bye > down; exit 0' TERM; touch up; while :; do sleep 0.02; done`

func TestAServerThatIsKilledIsStartedAgain(t *testing.T) {
	s, procs, _ := shell(t, serve)
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		child, ok := procs.Get("shell")
		if !ok {
			t.Fatal("it does not run")
		}
		if err := syscall.Kill(child.Pid(), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		<-child.Done()
		deadline := time.Now().Add(10 * time.Second)
		for {
			if next, ok := procs.Get("shell"); ok && next != child && s.Await(t.Context()) == nil {
				break
			}
			if time.Now().After(deadline) {
				t.Fatal("it did not come back")
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestAServerIsStoppedPolitelyAndForGood(t *testing.T) {
	s, procs, _ := shell(t, serve)
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(s.Dir, "down")); err != nil {
		t.Error("it was not asked to finish")
	}
	if _, runs := procs.Get("shell"); runs {
		t.Error("it runs")
	}
	if err := s.Await(t.Context()); !errors.Is(err, engine.ErrStopped) {
		t.Errorf("got %v", err)
	}
}

// orphan starts a shell server as a niwa that is then killed, and returns its
// number and the same server for the next niwa.
func orphan(t *testing.T, script string) (next *engine.Server, procs *proc.Table, pid int) {
	t.Helper()
	s, procs, dir := shell(t, script)
	if _, err := s.Launcher.Launch(t.Context(), s.Task); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(10 * time.Second)
	for s.Ready(t.Context()) != nil {
		if time.Now().After(deadline) {
			t.Fatal("it does not start")
		}
		time.Sleep(5 * time.Millisecond)
	}
	child, _ := procs.Get("shell")
	again := openProcs(t, dir)
	return shellIn(home(t, dir, again), script), again, child.Pid()
}

func TestAServerThatOutlivedNiwaIsTakenBack(t *testing.T) {
	s, procs, pid := orphan(t, serve)
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if child, ok := procs.Get("shell"); !ok || child.Pid() != pid {
		t.Error("another was started")
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, runs := procs.Get("shell"); runs {
		t.Error("it runs")
	}
}

func TestAServerThatOutlivedNiwaWithAnotherConfigIsStartedAgain(t *testing.T) {
	s, procs, pid := orphan(t, serve)
	s.Config = "another"
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if child, ok := procs.Get("shell"); !ok || child.Pid() == pid {
		t.Error("it is the old one, or none")
	}
	if _, err := os.Stat(filepath.Join(s.Dir, "down")); err != nil {
		t.Error("the old one was not asked to finish")
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestAServerCanBeStoppedWhileItFailsToComeBack(t *testing.T) {
	s, procs, _ := shell(t, `if [ -e once ]; then exit 1; fi; touch once up; sleep 0.1; exit 1`)
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if child, ok := procs.Get("shell"); ok {
		<-child.Done()
	}
	deadline := time.Now().Add(10 * time.Second)
	for {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		err := s.Await(ctx)
		cancel()
		if errors.Is(err, context.DeadlineExceeded) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("its end is not noticed: %v", err)
		}
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, runs := procs.Get("shell"); runs {
		t.Error("it runs")
	}
}

func TestAServerThatDoesNotStartSaysWhy(t *testing.T) {
	s, procs, _ := shell(t, `echo first; echo the disk is full >&2; exit 3`)
	err := s.Start(t.Context())
	if err == nil || !strings.Contains(err.Error(), "status 3") || !strings.Contains(err.Error(), "the disk is full") {
		t.Errorf("got %v", err)
	}
	if _, runs := procs.Get("shell"); runs {
		t.Error("it runs")
	}
}

func TestAStartThatIsGivenUpLeavesNothing(t *testing.T) {
	s, procs, _ := shell(t, `trap '' TERM; while :; do sleep 0.02; done`)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := s.Start(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if _, runs := procs.Get("shell"); runs {
		t.Error("it runs")
	}
}
