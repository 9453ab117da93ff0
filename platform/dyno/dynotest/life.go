package dynotest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"niwa/platform/dyno"
	"niwa/platform/platformtest/need"
)

func exits(t *testing.T, b *bench) {
	for _, tt := range []struct {
		name, command string
		want          dyno.Exit
	}{
		{"success", "true", dyno.Exit{}},
		{"a status", "exit 3", dyno.Exit{Code: 3}},
		{"the last of several commands", "true && false; (exit 9)", dyno.Exit{Code: 9}},
		{"a command that is not there", "no-such-command-anywhere", dyno.Exit{Code: 127}},
		{"a file that is no program", "./Procfile", dyno.Exit{Code: 126}},
		{"SIGTERM from inside", "kill -TERM $$", dyno.Exit{Code: 143, Signal: "SIGTERM"}},
		{"SIGKILL from inside", "kill -KILL $$", dyno.Exit{Code: 137, Signal: "SIGKILL"}},
		{"the marker of heroku run -x", `exit 4 ; echo "$?"`, dyno.Exit{Code: 4}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			slug := Slug(t, Entry{Name: "Procfile", Text: "web: true\n", Mode: 0o644})
			got, out := b.result(t, dyno.Spec{Command: tt.command, Slug: slug})
			if got != tt.want {
				t.Errorf("ended as %+v, want %+v; output %q", got, tt.want, out)
			}
		})
	}
}

func waits(t *testing.T, b *bench) {
	r := b.sh(t, "echo up; read line; exit 5")
	if exit := r.wait(t); exit.Code != 5 { // there is no input
		t.Errorf("ended as %+v", exit)
	}
	if exit := r.wait(t); exit.Code != 5 {
		t.Errorf("asked again it ended as %+v", exit)
	}

	r = b.sh(t, "echo up; exec sleep 600")
	r.out.expect(t, "up")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := b.runner.Wait(ctx, r.id); !errors.Is(err, context.Canceled) {
		t.Errorf("waiting with a context that has ended: %v", err)
	}
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			if exit, err := b.runner.Wait(within(t), r.id); err != nil || exit.Signal != "SIGTERM" {
				t.Errorf("one of several who wait got %+v, %v", exit, err)
			}
		})
	}
	r.stop(t, limit)
	all.Wait()

	if _, err := b.runner.Wait(within(t), uuid.NewString()); err == nil {
		t.Error("waiting for an unknown dyno is not an error")
	}
}

func environment(t *testing.T, b *bench) {
	t.Setenv("NIWA_TEST_SECRET", "must not be seen")
	t.Setenv("BASH_ENV", "/dev/null")
	given := map[string]string{
		"PORT":      "4242",
		"EMPTY":     "",
		"MULTILINE": "a\nb",
		"QUOTES":    `"'$HOME` + "`id`",
		"HOME":      "/not/taken",
	}
	exit, out := b.result(t, dyno.Spec{Command: "env -0", Env: given})
	if exit.Code != 0 {
		t.Fatalf("ended as %+v", exit)
	}
	got := map[string]string{}
	for kv := range strings.SplitSeq(strings.TrimSuffix(out, "\x00"), "\x00") {
		name, value, _ := strings.Cut(kv, "=")
		got[name] = value
	}
	for _, name := range []string{"HOME", "PATH", "TMPDIR"} {
		if !filepath.IsAbs(strings.Split(got[name], ":")[0]) {
			t.Errorf("%s is %q", name, got[name])
		}
	}
	if got["HOME"] == given["HOME"] {
		t.Error("a config var has moved HOME")
	}
	// What the shell adds, and the mark by which niwa finds its processes.
	for _, name := range []string{"HOME", "PATH", "TMPDIR", "PWD", "OLDPWD", "SHLVL", "_", "NIWA_PROC"} {
		delete(got, name)
	}
	delete(given, "HOME")
	if diff := cmp.Diff(given, got); diff != "" {
		t.Errorf("environment (-want +got):\n%s", diff)
	}

	exit, out = b.result(t, dyno.Spec{Command: `touch "$TMPDIR/x" && pwd && cd && pwd && echo "$PATH"`, Env: map[string]string{"PATH": "/bin:/usr/bin:/opt/own"}})
	lines := strings.Fields(out)
	if exit.Code != 0 || len(lines) != 3 || lines[0] != lines[1] || lines[2] != "/bin:/usr/bin:/opt/own" {
		t.Errorf("TMPDIR, working directory, HOME and the PATH of a config var: %+v %q", exit, out)
	}
}

func descriptors(t *testing.T, b *bench) {
	if _, err := os.Stat("/proc/self/fd"); err != nil {
		need.Reason(t, "needs /proc")
	}
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	exit, out := b.result(t, dyno.Spec{Command: "exec ls /proc/self/fd"})
	fds := strings.Fields(out)
	slices.Sort(fds)
	if want := []string{"0", "1", "2", "3"}; exit.Code != 0 || !slices.Equal(fds, want) { // 3 is what ls reads
		t.Errorf("descriptors are %v, want %v; %+v", fds, want, exit)
	}
}

func user(t *testing.T, b *bench) {
	if b.UID == 0 {
		need.Reason(t, "needs root")
	}
	_, out := b.result(t, dyno.Spec{Command: "id -u; id -g; id -G; touch mine && stat -c %u:%g mine Procfile . || stat -f %u:%g mine Procfile ."})
	u := fmt.Sprint(b.UID)
	want := strings.Join([]string{u, u, u, u + ":" + u, u + ":" + u, u + ":" + u, ""}, "\n")
	if out != want {
		t.Errorf("the dyno is %q, want %q", out, want)
	}
}

func gracefulStop(t *testing.T, b *bench) {
	r := b.sh(t, `trap 'echo ending; exit 6' TERM; echo ready; while :; do sleep 0.01; done`)
	r.out.expect(t, "ready")
	r.stop(t, limit)
	if exit := r.wait(t); exit != (dyno.Exit{Code: 6}) {
		t.Errorf("ended as %+v", exit)
	}
	if out := r.out.String(); !strings.HasSuffix(out, "ending\n") {
		t.Errorf("output %q", out)
	}

	// SIGTERM reaches every process, and a child may take its time after its
	// parent has ended.
	r = b.sh(t, `(trap 'sleep 0.2; echo child ended; exit' TERM; echo ready; while :; do sleep 0.01; done) & wait`)
	r.out.expect(t, "ready")
	r.stop(t, limit)
	r.wait(t)
	if out := r.out.String(); !strings.HasSuffix(out, "child ended\n") {
		t.Errorf("output %q", out)
	}
}

func stopAway(t *testing.T, b *bench) {
	need.Tool(t, "setsid")
	r := b.sh(t, `setsid sh -c 'trap "echo told; exit" TERM; echo away; while :; do sleep 0.01; done' & wait; wait`)
	r.out.expect(t, "away")
	r.stop(t, limit)
	r.wait(t)
	if out := r.out.String(); strings.Count(out, "told\n") != 1 {
		t.Errorf("it was to be told once; output %q", out)
	}
}

func forcedStop(t *testing.T, b *bench) {
	dir := Dir(t)
	life := newLifeline(t, dir)
	r := b.start(t, dyno.Spec{Dir: dir, Command: `exec 9>lifeline; trap 'echo asked' TERM
		sh -c 'trap "" TERM; echo one; while :; do sleep 1; done' &
		echo two; while :; do sleep 0.01; done`})
	r.out.expect(t, "one")
	r.out.expect(t, "two")
	const grace = 300 * time.Millisecond
	began := time.Now()
	r.stop(t, grace)
	if took := time.Since(began); took < grace {
		t.Errorf("killed after %v, before its grace of %v had passed", took, grace)
	}
	life.cut(t)
	if exit := r.wait(t); exit != (dyno.Exit{Code: 137, Signal: "SIGKILL"}) {
		t.Errorf("ended as %+v", exit)
	}
	r.out.expect(t, "asked")
}

func leftBehind(t *testing.T, b *bench) {
	need.Tool(t, "setsid")
	for name, child := range map[string]string{
		"in the background":                           `sh -c 'trap "" TERM HUP; echo away; sleep 600; true'`,
		"in a session of its own, holding the output": `setsid sh -c 'trap "" TERM HUP; echo away; sleep 600; true'`,
		"in a session of its own, silent":             `setsid sh -c 'trap "" TERM HUP; echo away; exec >/dev/null 2>&1; sleep 600; true'`,
	} {
		for when, end := range map[string]string{
			"after an exit": "read line <&8; exit 2",
			"after a stop":  "wait; wait; sleep 600",
		} {
			t.Run(name+", "+when, func(t *testing.T) {
				dir := Dir(t)
				if err := syscall.Mkfifo(filepath.Join(dir, "go"), 0o600); err != nil {
					t.Fatal(err)
				}
				life := newLifeline(t, dir)
				r := b.start(t, dyno.Spec{Dir: dir, Command: "exec 8<>go 9>lifeline; (" + child + "; true) & " + end})
				r.out.expect(t, "away")
				if when == "after a stop" {
					r.stop(t, 50*time.Millisecond)
				} else if err := os.WriteFile(filepath.Join(dir, "go"), []byte("go\n"), 0); err != nil {
					t.Fatal(err)
				}
				r.wait(t)
				life.cut(t)
			})
		}
	}
}

func idleStop(t *testing.T, b *bench) {
	r := b.sh(t, "exit 1")
	r.wait(t)
	r.stop(t, time.Second)
	r.stop(t, 0)
	if exit := r.wait(t); exit.Code != 1 {
		t.Errorf("after a stop it ended as %+v", exit)
	}
	if err := b.runner.Stop(within(t), uuid.NewString(), time.Second); err != nil {
		t.Errorf("stopping an unknown dyno: %v", err)
	}
}
