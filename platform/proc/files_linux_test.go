package proc

import (
	"context"
	"errors"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// noFiles takes from this process the files that it could open, until the
// test gives them back.
func noFiles(t *testing.T) (give func()) {
	t.Helper()
	var was syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	give = func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &was); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Max: was.Max}); err != nil {
		t.Fatal(err)
	}
	return give
}

// A platform that has no file to ask the kernel through knows nothing about
// its children. It is the watch over one that begins then.
func TestAChildIsNotTakenForEndedForWantOfAFile(t *testing.T) {
	table, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/bin/sh", "-c", `trap "" TERM; echo ready; while :; do sleep 60; done`)
	said, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	rec := record{ID: "a", Nonce: "n0nce", Boot: bootID()}
	prepare(cmd, &rec)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	rec.PID = cmd.Process.Pid
	if err := rec.addStart(); err != nil {
		t.Fatal(err)
	}
	if _, err := said.Read(make([]byte, 8)); err != nil {
		t.Fatal(err)
	}

	give := noFiles(t)
	p := table.add(rec, cmd.Process, cmd)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	stopErr := p.Stop(ctx, 100*time.Millisecond)
	_, memoryErr := p.Memory()
	_, reapErr := reap([]record{rec})
	give()
	if !errors.Is(stopErr, context.DeadlineExceeded) {
		t.Errorf("the stop of a child that cannot be seen ends with %v", stopErr)
	}
	for what, err := range map[string]error{"its memory": memoryErr, "a sweep": reapErr} {
		if !errors.Is(err, syscall.EMFILE) {
			t.Errorf("%s: %v, want that no file can be opened", what, err)
		}
	}

	select {
	case <-p.Done():
	case <-time.After(10 * time.Second):
		t.Fatal("it was not killed once there were files again")
	}
	if _, signal := p.ExitCode(); signal != "SIGKILL" {
		t.Errorf("it ended by %q", signal)
	}
}
