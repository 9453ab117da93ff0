package proc

import (
	"os/exec"
	"slices"
	"testing"

	"niwa/platform/platformtest/need"
)

// TestANumberThatHasBeenReusedIsLeftAlone starts a process that a record
// names by its number, and that is another one all the same.
func TestANumberThatHasBeenReusedIsLeftAlone(t *testing.T) {
	for name, tt := range map[string]struct {
		alter  func(*record)
		reaped bool
	}{
		"the very process":        {func(*record) {}, true},
		"one that started later":  {func(r *record) { r.Start-- }, false},
		"one of another boot":     {func(r *record) { r.Boot = "another" }, false},
		"a record with no number": {func(r *record) { r.PID, r.Start = 0, 0 }, false},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command("sleep", "600")
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- cmd.Wait() }()
			rec := record{ID: "a", Nonce: "n", Boot: bootID(), PID: cmd.Process.Pid}
			if err := rec.addStart(); err != nil {
				t.Fatal(err)
			}
			tt.alter(&rec)
			dir := t.TempDir()
			if err := rec.save(dir); err != nil {
				t.Fatal(err)
			}
			table, err := Open(dir)
			if err != nil {
				t.Fatal(err)
			}
			_, adopted := table.Adopt("a")
			if adopted != tt.reaped {
				t.Errorf("adopted: %v", adopted)
			}
			if err := table.Close(t.Context()); err != nil {
				t.Error(err)
			}
			if err := cmd.Process.Kill(); err != nil && !tt.reaped {
				t.Errorf("a stranger has been killed: %v", err)
			}
			<-ended
		})
	}
}

// TestAMarkIsEnough has a record from before the child's
// number was known, so that its mark is all there is.
func TestAMarkIsEnough(t *testing.T) {
	rec := record{ID: "a", Nonce: "n0nce", Boot: bootID()}
	cmd := exec.Command("sleep", "600")
	cmd.Env = []string{markVar + "=" + rec.mark()}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	all, err := list(0)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(all, func(p info) bool { return p.pid == cmd.Process.Pid && p.known }) {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		need.Reason(t, "needs /proc")
	}
	dir := t.TempDir()
	if err := rec.save(dir); err != nil {
		t.Fatal(err)
	}
	table, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := table.Adopt("a"); ok {
		t.Error("one was adopted whose number nobody wrote down")
	}
	if swept, err := table.Sweep(""); err != nil || !slices.Equal(swept, []string{"a"}) {
		t.Errorf("swept %v, %v", swept, err)
	}
	if err := cmd.Wait(); err == nil || cmd.ProcessState.String() != "signal: killed" {
		t.Errorf("it ended with %v", err)
	}
}
