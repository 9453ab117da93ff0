package process_test

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"niwa/platform/dyno"
	"niwa/platform/dyno/dynotest"
	"niwa/platform/dyno/process"
	"niwa/platform/platformtest/need"
	"niwa/platform/proc"
)

const (
	limit = 30 * time.Second
	path  = "/usr/local/bin:/usr/bin:/bin"
)

// uid is the user of an app: nobody's, where there is a choice.
func uid(app int) int {
	if os.Geteuid() != 0 {
		return 0
	}
	return 61000 + app
}

// newRunner returns a runner and its folder, which must be empty at the end.
func newRunner(t *testing.T) (*process.Runner, string) {
	t.Helper()
	dir := filepath.Join(dynotest.Dir(t), "dynos")
	table, err := proc.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	r := process.New(process.Config{Dir: dir, Procs: table, Path: path})
	t.Cleanup(func() {
		if err := table.Close(within(t)); err != nil {
			t.Error(err)
		}
		if left := list(t, dir); len(left) > 0 {
			t.Errorf("folders left: %v", left)
		}
	})
	return r, dir
}

func list(t *testing.T, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	t.Cleanup(cancel)
	return ctx
}

func TestContract(t *testing.T) {
	dynotest.Run(t, func(t *testing.T) dyno.Runner {
		r, _ := newRunner(t)
		return r
	}, dynotest.Options{UID: uid(0)})
}

// output is a pipe that the test reads line by line.
func output(t *testing.T) (*os.File, *bufio.Reader) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	if err := r.SetReadDeadline(time.Now().Add(limit)); err != nil {
		t.Fatal(err)
	}
	return w, bufio.NewReader(r)
}

// start starts a dyno of an app's user and returns the first line that it says.
func start(t *testing.T, r *process.Runner, spec dyno.Spec) (id, line string) {
	t.Helper()
	w, said := output(t)
	spec.Output = w
	if spec.ID == "" {
		spec.ID = uuid.NewString()
	}
	id = spec.ID
	if _, err := r.Start(within(t), spec); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Stop(within(t), id, 0); err != nil {
			t.Error(err)
		}
		if _, err := r.Wait(within(t), id); err != nil {
			t.Error(err)
		}
	})
	line, err := said.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return id, strings.TrimSpace(line)
}

func TestAnAppIsClosedToTheOthers(t *testing.T) {
	need.Root(t)
	r, _ := newRunner(t)
	slug := dynotest.Slug(t,
		dynotest.Entry{Name: "./", Type: tar.TypeDir, Mode: 0o777},
		dynotest.Entry{Name: "secret", Text: "secret", Mode: 0o777})
	_, line := start(t, r, dyno.Spec{UID: uid(1), Slug: slug, Command: "echo shared > $TMPDIR/x; umask; echo $$ $HOME $TMPDIR; exec sleep 600", Env: map[string]string{"KEY": "s3cret"}})
	if line != "0077" {
		t.Errorf("the umask is %s", line)
	}
	_, line = start(t, r, dyno.Spec{UID: uid(1), Slug: slug, Command: "echo x > $TMPDIR/x; echo $$ $HOME $TMPDIR; exec sleep 600", Env: map[string]string{"KEY": "s3cret"}})
	var pid int
	var home, tmp string
	if _, err := fmt.Sscan(line, &pid, &home, &tmp); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	id := uuid.NewString()
	_, err := r.Start(within(t), dyno.Spec{ID: id, UID: uid(2), Slug: slug, Output: &out, Command: fmt.Sprintf(
		"for f in %[2]s/secret %[3]s/x /proc/%[1]d/environ; do cat $f && echo read; done; ls %[2]s && echo read; kill -0 %[1]d && echo signalled; kill -9 %[1]d && echo killed", pid, home, tmp)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Wait(within(t), id); err != nil {
		t.Fatal(err)
	}
	for _, got := range []string{"secret\n", "s3cret", "read", "signalled", "killed"} {
		if strings.Contains(strings.ReplaceAll(out.String(), "/secret", ""), got) {
			t.Errorf("another app got this far:\n%s", out.String())
			break
		}
	}
}

func TestStartRefusesWhatWouldBreakIsolation(t *testing.T) {
	r, dir := newRunner(t)
	slug := dynotest.Slug(t)
	busy := dynotest.Dir(t)
	start(t, r, dyno.Spec{Dir: busy, UID: uid(1), Command: "echo up; exec sleep 600"})
	shut := t.TempDir()
	if err := os.Chmod(shut, 0o700); err != nil {
		t.Fatal(err)
	}
	inside := filepath.Join(shut, "app")
	if err := os.Mkdir(inside, 0o755); err != nil {
		t.Fatal(err)
	}
	linked := dynotest.Dir(t)
	outside := filepath.Join(t.TempDir(), "outside")
	if err := os.WriteFile(outside, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(outside, filepath.Join(linked, "file")); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, says string
		root       bool
		spec       dyno.Spec
	}{
		{"root for an app", "must not run as root", true, dyno.Spec{Slug: slug, UID: 0}},
		{"another user when niwa is not root", "only root can", false, dyno.Spec{Slug: slug, UID: os.Geteuid() + 1}},
		{"a directory the user cannot reach", "chmod a+x " + shut, true, dyno.Spec{Dir: inside, UID: uid(1)}},
		{"a directory with somebody else's file", "hard links", true, dyno.Spec{Dir: linked, UID: uid(1)}},
		{"a directory that a dyno runs in", "is running in", os.Geteuid() == 0, dyno.Spec{Dir: busy, UID: uid(1)}},
		{"both a slug and a directory", "either", os.Geteuid() == 0, dyno.Spec{Dir: busy, Slug: slug, UID: uid(1)}},
		{"neither", "either", os.Geteuid() == 0, dyno.Spec{UID: uid(1)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.root {
				need.Root(t)
			} else if os.Geteuid() == 0 {
				tt.spec.UID, tt.says = 0, "must not run as root" // the same rule, as root meets it
			}
			before := list(t, dir)
			tt.spec.ID, tt.spec.Output, tt.spec.Command = uuid.NewString(), &bytes.Buffer{}, "true"
			if _, err := r.Start(within(t), tt.spec); err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got error %v, want one that says %q", err, tt.says)
			}
			if after := list(t, dir); len(after) != len(before) {
				t.Errorf("folders left: %v", after)
			}
		})
	}
}

func TestFoldersThatAnAppHasClosedAreRemoved(t *testing.T) {
	r, _ := newRunner(t) // which checks it
	start(t, r, dyno.Spec{UID: uid(1), Slug: dynotest.Slug(t), Command: "mkdir -p a/b && touch a/b/c && chmod 000 a/b && chmod 500 a . && echo closed"})
}

// TestAStrayHoldingTheOutputDoesNotHoldTheDyno has one get away: it has left
// the session, its parents have ended and its environment is wiped.
func TestAStrayHoldingTheOutputDoesNotHoldTheDyno(t *testing.T) {
	need.Tool(t, "setsid")
	r, _ := newRunner(t)
	var out bytes.Buffer
	id := uuid.NewString()
	_, err := r.Start(within(t), dyno.Spec{
		ID: id, UID: uid(1), Slug: dynotest.Slug(t), Output: &out,
		Command: `mkfifo go; (env -i setsid sh -c '(echo $$; echo > go; exec sleep 600) & ' &); read x < go; exit 9`,
	})
	if err != nil {
		t.Fatal(err)
	}
	exit, err := r.Wait(within(t), id)
	if err != nil || exit.Code != 9 {
		t.Errorf("ended as %+v, %v", exit, err)
	}
	var session int
	if _, err := fmt.Sscan(out.String(), &session); err != nil {
		t.Fatalf("output %q: %v", out.String(), err)
	}
	if err := syscall.Kill(-session, syscall.SIGKILL); err != nil {
		t.Errorf("it has not got away: %v", err)
	}
}

const helperVar = "NIWA_TEST_DYNO_HELPER"

func TestMain(m *testing.M) {
	if base := os.Getenv(helperVar); base != "" {
		fmt.Fprintln(os.Stderr, crashing(base))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// crashing is a platform that starts dynos and is then killed by
// TestACrashLeavesNothing.
func crashing(base string) error {
	table, err := proc.Open(filepath.Join(base, "procs"))
	if err != nil {
		return err
	}
	r := process.New(process.Config{Dir: filepath.Join(base, "dynos"), Procs: table, Path: path})
	for i, command := range []string{
		"sh -c 'sleep 600; true' & wait",
		"trap '' TERM HUP; setsid sh -c 'sleep 600; true' & wait; sleep 600",
	} {
		_, err := r.Start(context.Background(), dyno.Spec{
			ID: uuid.NewString(), UID: uid(i + 1), Slug: filepath.Join(base, "slug.tgz"), Output: os.Stderr,
			Command: fmt.Sprintf("exec 9>%s/lifeline; echo up; %s", base, command),
		})
		if err != nil {
			return err
		}
	}
	select {}
}

func TestACrashLeavesNothing(t *testing.T) {
	need.Tool(t, "setsid")
	base := dynotest.Dir(t)
	if err := os.Rename(dynotest.Slug(t), filepath.Join(base, "slug.tgz")); err != nil {
		t.Fatal(err)
	}
	fifo := filepath.Join(base, "lifeline")
	if out, err := exec.Command("mkfifo", "-m", "666", fifo).CombinedOutput(); err != nil {
		t.Fatalf("mkfifo: %v %s", err, out)
	}
	lifeline, err := os.OpenFile(fifo, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer lifeline.Close()

	w, said := output(t)
	helper := exec.Command(os.Args[0])
	helper.Env = append(os.Environ(), helperVar+"="+base)
	helper.Stderr = w
	if err := helper.Start(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if line, err := said.ReadString('\n'); line != "up\n" {
			t.Fatalf("the helper says %q, %v", line, err)
		}
	}
	if err := helper.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = helper.Wait()
	if len(list(t, filepath.Join(base, "dynos"))) != 2 {
		t.Error("the crash has not left folders, so that nothing is shown")
	}

	table, err := proc.Open(filepath.Join(base, "procs"))
	if err != nil {
		t.Fatal(err)
	}
	if got := table.Reaped(); len(got) != 2 {
		t.Errorf("reaped %v", got)
	}
	if err := lifeline.SetReadDeadline(time.Now().Add(limit)); err != nil {
		t.Fatal(err)
	}
	if n, err := lifeline.Read(make([]byte, 1)); n != 0 || os.IsTimeout(err) {
		t.Errorf("a process of a dyno is still running (%v)", err)
	}
	r := process.New(process.Config{Dir: filepath.Join(base, "dynos"), Procs: table, Path: path})
	start(t, r, dyno.Spec{Dir: dynotest.Dir(t), UID: uid(1), Command: "echo up"})
	if left := list(t, filepath.Join(base, "dynos")); len(left) > 1 {
		t.Errorf("folders left: %v", left)
	}
}
