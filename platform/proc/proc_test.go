package proc_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"niwa/platform/platformtest/need"
	"niwa/platform/proc"
)

const limit = 20 * time.Second

func open(t *testing.T, dir string) *proc.Table {
	t.Helper()
	table, err := proc.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := table.Close(timeout(t)); err != nil {
			t.Error(err)
		}
	})
	return table
}

func timeout(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	t.Cleanup(cancel)
	return ctx
}

// start runs a shell script and returns what the script says on stdout, which
// is a file so that nothing waits for those who hold it open.
func start(t *testing.T, table *proc.Table, id, script string) (*proc.Process, *bufio.Reader) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	cmd := exec.Command("/bin/sh", "-c", script)
	cmd.Stdout = w
	p, err := table.Start(id, cmd)
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.SetReadDeadline(time.Now().Add(limit)); err != nil {
		t.Fatal(err)
	}
	return p, bufio.NewReader(r)
}

func readPid(t *testing.T, r *bufio.Reader) int {
	t.Helper()
	line, err := r.ReadString('\n')
	if err != nil {
		t.Fatalf("a pid was expected, got %q: %v", line, err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

func done(t *testing.T, p *proc.Process) {
	t.Helper()
	select {
	case <-p.Done():
	case <-time.After(limit):
		t.Fatalf("process %d has not ended", p.Pid())
	}
}

// alive is false for a zombie, which only its parent can remove.
func alive(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	out, _ := exec.Command("ps", "-o", "stat=", "-p", strconv.Itoa(pid)).Output()
	state := strings.TrimSpace(string(out))
	return state != "" && !strings.HasPrefix(state, "Z")
}

func noneAlive(t *testing.T, pids ...int) {
	t.Helper()
	for _, pid := range pids {
		if alive(pid) {
			t.Errorf("process %d is alive", pid)
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

func records(t *testing.T, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestAnExitIsReported(t *testing.T) {
	for _, tt := range []struct {
		name, script string
		code         int
		signal       string
	}{
		{"success", "exit 0", 0, ""},
		{"a status", "exit 7", 7, ""},
		{"a signal", "kill -9 $$", 137, "SIGKILL"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			p, _ := start(t, open(t, dir), "a", tt.script)
			done(t, p)
			if code, signal := p.ExitCode(); code != tt.code || signal != tt.signal {
				t.Errorf("ended with %d %q, want %d %q", code, signal, tt.code, tt.signal)
			}
			if left := records(t, dir); len(left) > 0 {
				t.Errorf("records left: %v", left)
			}
		})
	}
}

func TestStartRefuses(t *testing.T) {
	dir := t.TempDir()
	table := open(t, dir)
	start(t, table, "busy", "sleep 60")
	for name, tt := range map[string]struct{ id, program, says string }{
		"an id that is live":          {"busy", "/bin/true", "running already"},
		"an id that names a path":     {"../x", "/bin/true", "cannot name a process"},
		"an id that is empty":         {"", "/bin/true", "cannot name a process"},
		"a program that is not there": {"ghost", "/no/such/program", "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := table.Start(tt.id, exec.Command(tt.program)); err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got error %v, want one that says %q", err, tt.says)
			}
		})
	}
	if _, ok := table.Get("ghost"); ok || len(records(t, dir)) != 1 {
		t.Errorf("a failed start has left something: %v", records(t, dir))
	}
	if p, ok := table.Get("busy"); !ok || !alive(p.Pid()) {
		t.Error("the process that was live is not any more")
	}
}

func TestAStoppedChildGetsItsGrace(t *testing.T) {
	p, out := start(t, open(t, t.TempDir()), "a", `trap 'echo bye; exit 3' TERM; echo $$; while :; do sleep 0.01; done`)
	readPid(t, out)
	if err := p.Stop(timeout(t), time.Minute); err != nil {
		t.Fatal(err)
	}
	if line, _ := out.ReadString('\n'); line != "bye\n" {
		t.Errorf("it said %q", line)
	}
	if code, _ := p.ExitCode(); code != 3 {
		t.Errorf("ended with %d", code)
	}
}

func TestALeaderThatEndsFirstLeavesTheOthersTheirGrace(t *testing.T) {
	p, out := start(t, open(t, t.TempDir()), "a",
		`(trap 'sleep 0.3; echo drained; exit' TERM; echo 1; while :; do sleep 0.01; done) & wait`)
	readPid(t, out)
	if err := p.Stop(timeout(t), time.Minute); err != nil {
		t.Fatal(err)
	}
	if line, err := out.ReadString('\n'); line != "drained\n" {
		t.Errorf("it said %q, %v", line, err)
	}
}

func TestWhatIgnoresTermIsKilledAfterGraceWithItsWholeGroup(t *testing.T) {
	p, out := start(t, open(t, t.TempDir()), "a", `trap '' TERM; sh -c 'echo $$; sleep 60' & echo $$; wait; sleep 60`)
	pids := []int{readPid(t, out), readPid(t, out)}
	began := time.Now()
	if err := p.Stop(timeout(t), 200*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took < 200*time.Millisecond {
		t.Errorf("killed after %v, before its grace had passed", took)
	}
	noneAlive(t, pids...)
	if _, signal := p.ExitCode(); signal != "SIGKILL" {
		t.Errorf("ended by %q", signal)
	}
}

func TestWhatLeavesTheSessionIsStoppedToo(t *testing.T) {
	need.Tool(t, "setsid")
	p, out := start(t, open(t, t.TempDir()), "a", `setsid sh -c 'trap "" TERM; echo $$; sleep 60' & wait; sleep 60`)
	away := readPid(t, out)
	if err := p.Stop(timeout(t), 50*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	noneAlive(t, p.Pid(), away)
}

func TestWhatALeaderLeavesBehindIsKilled(t *testing.T) {
	need.Tool(t, "setsid")
	// The substitution ends when the child has said its number and run sleep.
	for name, child := range map[string]string{
		"in its group":                   `sh -c 'echo $$; exec sleep 60 >/dev/null'`,
		"in a session of its own":        `setsid sh -c 'echo $$; exec sleep 60 >/dev/null'`,
		"in its group, without the mark": `env -i /bin/sh -c 'echo $$; exec sleep 60 >/dev/null'`,
		"in its group, ignoring signals": `sh -c 'trap "" TERM HUP INT; echo $$; exec sleep 60 >/dev/null'`,
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			p, out := start(t, open(t, dir), "a", `pid=$(`+child+` & ); kill -0 $pid && echo $pid; exit 4`)
			pid := readPid(t, out)
			done(t, p)
			noneAlive(t, pid)
			if code, _ := p.ExitCode(); code != 4 {
				t.Errorf("ended with %d", code)
			}
		})
	}
}

func TestShutdownSignalsTheLeaderAlone(t *testing.T) {
	p, out := start(t, open(t, t.TempDir()), "a",
		`trap 'kill $child; wait $child; echo child $?; exit 0' INT
		sh -c 'trap "exit 1" INT; trap "exit 5" TERM; echo $$; while :; do sleep 0.01; done' & child=$!; wait; sleep 60`)
	readPid(t, out)
	if err := p.Shutdown(timeout(t), os.Interrupt, time.Minute); err != nil {
		t.Fatal(err)
	}
	if line, _ := out.ReadString('\n'); line != "child 5\n" {
		t.Errorf("it said %q", line)
	}
}

func TestAStopGoesOnWhenItsContextEnds(t *testing.T) {
	p, out := start(t, open(t, t.TempDir()), "a", `trap '' TERM; echo $$; while :; do sleep 0.01; done`)
	readPid(t, out)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := p.Stop(ctx, 50*time.Millisecond); err == nil {
		t.Error("Stop did not say that its context had ended")
	}
	done(t, p)
}

func TestACloseKillsAllAndEndsStarting(t *testing.T) {
	dir := t.TempDir()
	table, err := proc.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []*proc.Process
	for i := range 5 {
		p, _ := start(t, table, fmt.Sprint("p", i), `trap '' TERM; sleep 60`)
		all = append(all, p)
	}
	if err := table.Close(timeout(t)); err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		noneAlive(t, p.Pid())
	}
	if _, err := table.Start("late", exec.Command("/bin/true")); err == nil {
		t.Error("a closed table started a process")
	}
	if left := records(t, dir); len(left) > 0 {
		t.Errorf("records left: %v", left)
	}
}

func TestTheCallersEnvironmentAndAttributesAreKept(t *testing.T) {
	table := open(t, t.TempDir())
	r, w := io.Pipe()
	cmd := exec.Command("/bin/sh", "-c", `echo "$A:${NIWA_PROC##*:}:${HOME-none}"`)
	cmd.Env = []string{"A=b", "NIWA_PROC=someone:else"}
	cmd.Stdout = w
	p, err := table.Start("env", cmd)
	if err != nil {
		t.Fatal(err)
	}
	line, _ := bufio.NewReader(r).ReadString('\n')
	if line != "b:env:none\n" {
		t.Errorf("environment is %q", line)
	}
	done(t, p)
}

func TestTornRecordsAreForgotten(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"empty.json":  "",
		"torn.json":   `{"id":"to`,
		"boot.json":   `{"id":"boot","nonce":"x","boot":"another","pid":` + strconv.Itoa(os.Getpid()) + `}`,
		"reused.json": `{"id":"reused","nonce":"x","boot":"another","pid":1,"start":1}`,
		".a.tmp":      "x",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if swept, err := open(t, dir).Sweep(""); err != nil || len(swept) > 0 {
		t.Errorf("swept %v, %v", swept, err)
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("records left: %v", left)
	}
}

const helperVar = "NIWA_TEST_PROC_HELPER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(helperVar); dir != "" {
		fmt.Fprintln(os.Stderr, crashing(dir))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// crashing is a platform that starts children and is then killed by crash.
func crashing(dir string) error {
	table, err := proc.Open(dir)
	if err != nil {
		return err
	}
	for id, script := range crashScripts() {
		cmd := exec.Command("/bin/sh", "-c", script)
		cmd.Stdout = os.Stderr
		if _, err := table.Start(id, cmd); err != nil {
			return err
		}
	}
	fmt.Fprintln(os.Stderr, os.Getpid()) // all are on record; a child may speak before it is
	select {}
}

func crashScripts() map[string]string {
	return map[string]string{
		"plain":    `echo $$; exec sleep 300`,
		"tree":     `sh -c 'echo $$; sleep 300; exit' & echo $$; wait`,
		"away":     `setsid sh -c 'echo $$; sleep 300; exit' & echo $$; wait`,
		"daemon":   `setsid sh -c 'trap "" HUP TERM; (echo $$; exec sleep 300) & sleep 300' & sleep 300; exit`,
		"stubborn": `trap '' TERM HUP INT; echo $$; while :; do sleep 1; done`,
		"wiped":    `env -i /bin/sh -c 'echo $$; sleep 300; exit' & echo $$; wait`,
	}
}

// crash kills a platform whose children, all of them alive, have these numbers.
func crash(t *testing.T, dir string) (pids []int) {
	t.Helper()
	need.Tool(t, "setsid")
	helper := exec.Command(os.Args[0])
	helper.Env = append(os.Environ(), helperVar+"="+dir)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	helper.Stderr = w
	if err := helper.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	if err := r.SetReadDeadline(time.Now().Add(limit)); err != nil {
		t.Fatal(err)
	}
	said := bufio.NewReader(r)
	for range 10 {
		if pid := readPid(t, said); pid != helper.Process.Pid {
			pids = append(pids, pid)
		}
	}
	if err := helper.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = helper.Wait()
	for _, pid := range pids {
		if !alive(pid) {
			t.Fatalf("process %d has not outlived the platform, so that nothing is shown", pid)
		}
	}
	return pids
}

func TestWhatNobodyAdoptsIsSweptWhole(t *testing.T) {
	dir := t.TempDir()
	pids := crash(t, dir)
	table := open(t, dir)
	swept, err := table.Sweep("")
	noneAlive(t, pids...)
	if want := slices.Sorted(maps.Keys(crashScripts())); err != nil || !slices.Equal(swept, want) {
		t.Errorf("swept %v, %v, want %v", swept, err, want)
	}
	if left := records(t, dir); len(left) > 0 {
		t.Errorf("records left: %v", left)
	}
	p, _ := start(t, table, "plain", "exit 0")
	done(t, p)
}

func TestASweepTakesNeitherTheAdoptedNorOtherNames(t *testing.T) {
	dir := t.TempDir()
	crash(t, dir)
	table := open(t, dir)
	tree, ok := table.Adopt("tree")
	if !ok {
		t.Fatal("a child that lives was not adopted")
	}
	if _, ok := table.Adopt("tree"); ok {
		t.Error("it was adopted twice")
	}
	if swept, err := table.Sweep("t"); err != nil || len(swept) > 0 {
		t.Errorf("swept %v, %v", swept, err)
	}
	if swept, err := table.Sweep("st"); err != nil || !slices.Equal(swept, []string{"stubborn"}) {
		t.Errorf("swept %v, %v", swept, err)
	}
	if !alive(tree.Pid()) {
		t.Error("what was adopted has been swept")
	}
}

func TestAnAdoptedChildIsStoppedWithAllThatCameOfIt(t *testing.T) {
	dir := t.TempDir()
	pids := crash(t, dir)
	table := open(t, dir)
	for id := range crashScripts() {
		p, ok := table.Adopt(id)
		if !ok {
			t.Fatalf("%s was not adopted", id)
		}
		if got, ok := table.Get(id); !ok || got != p {
			t.Errorf("the table does not have %s", id)
		}
		if err := p.Stop(timeout(t), 100*time.Millisecond); err != nil {
			t.Error(err)
		}
		if code, signal := p.ExitCode(); code != -1 || signal != "" {
			t.Errorf("%s is said to have ended with %d %q, which nobody can know", id, code, signal)
		}
	}
	noneAlive(t, pids...)
	if left := records(t, dir); len(left) > 0 {
		t.Errorf("records left: %v", left)
	}
}

func TestAnAdoptedChildThatEndsIsSeen(t *testing.T) {
	dir := t.TempDir()
	crash(t, dir)
	p, ok := open(t, dir).Adopt("plain")
	if !ok {
		t.Fatal("it was not adopted")
	}
	if err := syscall.Kill(p.Pid(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	done(t, p)
}

func TestOnlyALeaderThatLivesIsAdopted(t *testing.T) {
	dir := t.TempDir()
	crash(t, dir)
	table := open(t, dir)
	p, ok := table.Adopt("plain")
	if !ok {
		t.Fatal("it was not adopted")
	}
	if err := p.Stop(timeout(t), 0); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"plain", "nobody"} {
		if _, ok := table.Adopt(id); ok {
			t.Errorf("%s was adopted", id)
		}
	}
}

func TestAStartEndsWhatADeadPlatformLeftUnderTheName(t *testing.T) {
	dir := t.TempDir()
	crash(t, dir)
	table := open(t, dir)
	before, ok := table.Adopt("away")
	if !ok {
		t.Fatal("it was not adopted")
	}
	p, out := start(t, table, "daemon", `ps -eo args | grep -c '[t]rap "" HUP'; exit 0`)
	if n := readPid(t, out); n != 0 {
		t.Errorf("%d processes of the old daemon run beside the new", n)
	}
	done(t, p)
	if !alive(before.Pid()) {
		t.Error("what has another name was ended too")
	}
}

func TestACloseEndsWhatWasAdoptedAndWhatWasNot(t *testing.T) {
	dir := t.TempDir()
	pids := crash(t, dir)
	table := open(t, dir)
	if _, ok := table.Adopt("stubborn"); !ok {
		t.Fatal("it was not adopted")
	}
	if err := table.Close(timeout(t)); err != nil {
		t.Fatal(err)
	}
	noneAlive(t, pids...)
	if left := records(t, dir); len(left) > 0 {
		t.Errorf("records left: %v", left)
	}
}
