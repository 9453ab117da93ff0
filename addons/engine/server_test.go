package engine_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"niwa/addons/engine"
	"niwa/platform/proc"
)

// shell is a server written in sh: it answers once the file "up" exists, and
// says goodbye into "down".
func shell(t *testing.T, script string) (*engine.Server, *proc.Table, string) {
	t.Helper()
	dir := t.TempDir()
	procs, err := proc.Open(filepath.Join(dir, "procs"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = procs.Close(context.Background()) })
	return &engine.Server{
		ID:      "shell",
		Procs:   procs,
		LogFile: filepath.Join(dir, "log"),
		Log:     slog.New(slog.NewTextHandler(&syncBuffer{}, nil)),
		Command: func() (*exec.Cmd, error) {
			if err := os.Remove(filepath.Join(dir, "up")); err != nil && !errors.Is(err, os.ErrNotExist) {
				return nil, err
			}
			cmd := exec.Command("sh", "-c", script)
			cmd.Dir = dir
			return cmd, nil
		},
		Ready: func(context.Context) error {
			_, err := os.Stat(filepath.Join(dir, "up"))
			return err
		},
		Signal: syscall.SIGTERM,
		Grace:  5 * time.Second,
	}, procs, dir
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
	s, procs, dir := shell(t, serve)
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "down")); err != nil {
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
func orphan(t *testing.T, script string) (*engine.Server, int) {
	t.Helper()
	s, procs, dir := shell(t, script)
	cmd := exec.Command("sh", "-c", script)
	cmd.Dir = dir
	child, err := procs.Start("shell", cmd)
	if err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(10 * time.Second)
	for s.Ready(t.Context()) != nil {
		if time.Now().After(deadline) {
			t.Fatal("it does not start")
		}
		time.Sleep(5 * time.Millisecond)
	}
	if s.Procs, err = proc.Open(filepath.Join(dir, "procs")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Procs.Close(context.Background()) })
	return s, child.Pid()
}

func TestAServerThatOutlivedNiwaIsTakenBack(t *testing.T) {
	s, pid := orphan(t, serve)
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if child, ok := s.Procs.Get("shell"); !ok || child.Pid() != pid {
		t.Error("another was started")
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, runs := s.Procs.Get("shell"); runs {
		t.Error("it runs")
	}
}

func TestAServerThatOutlivedNiwaAndDoesNotAnswerIsStartedAgain(t *testing.T) {
	s, pid := orphan(t, serve)
	dir := filepath.Dir(s.LogFile)
	if err := os.Remove(filepath.Join(dir, "up")); err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if child, ok := s.Procs.Get("shell"); !ok || child.Pid() == pid {
		t.Error("it is the old one, or none")
	}
	if _, err := os.Stat(filepath.Join(dir, "down")); err != nil {
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
