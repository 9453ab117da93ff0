package process_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"niwa/platform/dyno"
	"niwa/platform/dyno/dynotest"
	"niwa/platform/dyno/pid1"
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

// openRunner opens a platform with a process runner and nothing else.
func openRunner(place string) (*process.Runner, dynotest.Platform, error) {
	table, err := proc.Open(filepath.Join(place, "procs"))
	if err != nil {
		return nil, dynotest.Platform{}, err
	}
	r := process.New(process.Config{Dir: filepath.Join(place, "dynos"), Procs: table, Path: path, Platform: platformAt(place)})
	return r, dynotest.Platform{Runner: r, Close: func(ctx context.Context) error { return errors.Join(r.Close(ctx), table.Close(ctx)) }}, nil
}

// platformAt is the same for the same place.
func platformAt(place string) string { return uuid.NewSHA1(uuid.NameSpaceURL, []byte(place)).String() }

// nothingLeft fails the test when something is left at a place.
func nothingLeft(t *testing.T, place string) {
	t.Helper()
	groups, err := filepath.Glob("/sys/fs/cgroup/*/niwa-" + platformAt(place) + "*")
	if err != nil {
		t.Fatal(err)
	}
	if left := append(groups, list(t, filepath.Join(place, "dynos"))...); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	if left := list(t, filepath.Join(place, "procs")); len(left) > 0 {
		t.Errorf("records left: %v", left)
	}
}

// newRunner returns a runner and its folder, which must be empty at the end.
func newRunner(t testing.TB) (*process.Runner, string) {
	t.Helper()
	place := dynotest.Dir(t)
	r, p, err := openRunner(place)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(context.Background()); err != nil {
			t.Error(err)
		}
		if t, ok := t.(*testing.T); ok {
			nothingLeft(t, place)
		}
	})
	return r, filepath.Join(place, "dynos")
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

// options are what a runner can do here.
func options(t testing.TB, r *process.Runner) dynotest.Options {
	t.Helper()
	gaps, err := r.Gaps()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("gaps: %s", strings.Join(gaps, "\n"))
	all := strings.Join(gaps, "\n")
	return dynotest.Options{UID: uid(0), Exposed: strings.Contains(all, "no namespaces"), Unlimited: strings.Contains(all, "number of a dyno's processes")}
}

// variants are the runner as it is here, and as it would be where less is to
// be had.
func variants() map[string]func(*process.Runner) {
	return map[string]func(*process.Runner){
		"with all that there is here": func(*process.Runner) {},
		"without control groups":      process.WithoutGroups,
		"without namespaces":          func(r *process.Runner) { process.WithoutNamespaces(r); process.WithoutGroups(r) },
	}
}

func TestContract(t *testing.T) {
	for name, less := range variants() {
		t.Run(name, func(t *testing.T) {
			fresh := func(t *testing.T) *process.Runner {
				r, _ := newRunner(t)
				less(r)
				return r
			}
			dynotest.Run(t, func(t *testing.T) dyno.Runner { return fresh(t) }, options(t, fresh(t)))
		})
	}
}

func TestForRootOnLinuxDynosAreKeptApart(t *testing.T) {
	need.Root(t)
	r, _ := newRunner(t)
	if o := options(t, r); o.Exposed || o.Unlimited {
		need.Reason(t, "needs namespaces and control groups")
	}
}

func TestDynosOutliveTheirPlatform(t *testing.T) {
	for name := range variants() {
		t.Run(name, func(t *testing.T) {
			t.Setenv(variantVar, name)
			r, p, err := openRunner(dynotest.Dir(t))
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close(context.Background())
			variants()[name](r)
			dynotest.Outlive(t, openVariant, nothingLeft, options(t, r))
		})
	}
}

// variantVar hands a variant on to the platform that gets killed.
const variantVar = "NIWA_TEST_DYNO_VARIANT"

func openVariant(place string) (dynotest.Platform, error) {
	r, p, err := openRunner(place)
	if err == nil {
		variants()[os.Getenv(variantVar)](r)
	}
	return p, err
}

func BenchmarkDynoStart(b *testing.B) {
	r, _ := newRunner(b)
	dynotest.BenchmarkStart(b, r, options(b, r))
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

// What is quicker than a dyno to listen on its port belongs to somebody else.
func TestAPortThatSomebodyElseHasIsNotTheDynos(t *testing.T) {
	need.Root(t)
	need.Tool(t, "perl")
	r, _ := newRunner(t)
	stdin, goOn := io.Pipe()
	spec := dyno.Spec{ID: uuid.NewString(), App: uuid.NewString(), UID: uid(0), Slug: dynotest.Slug(t), Web: true, Output: io.Discard, Stdin: stdin,
		Command: `read line; exec perl -MIO::Socket::INET -e 'my $s = IO::Socket::INET->new(Listen => 5, LocalPort => $ENV{PORT}, ReuseAddr => 1) or die $!; $s->accept while 1'`}
	addr, err := r.Start(within(t), spec)
	if err != nil {
		t.Fatal(err)
	}
	if r.Accepts(within(t), spec.ID) {
		t.Error("it accepts connections where nobody listens")
	}
	stranger, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	if r.Accepts(within(t), spec.ID) {
		t.Error("a stranger is taken for it")
	}
	stranger.Close()
	goOn.Close()
	for ctx := within(t); !r.Accepts(ctx, spec.ID); time.Sleep(5 * time.Millisecond) {
		if ctx.Err() != nil {
			t.Fatal("it listens, and is not believed")
		}
	}
	if err := r.Stop(within(t), spec.ID, limit); err != nil {
		t.Error(err)
	}
}

func TestACloseLeavesNothing(t *testing.T) {
	place := dynotest.Dir(t)
	r, p, err := openRunner(place)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		spec := dyno.Spec{ID: uuid.NewString(), UID: uid(1), Slug: dynotest.Slug(t), Output: io.Discard, Command: "trap '' TERM; sleep 600"}
		if _, err := r.Start(within(t), spec); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Close(within(t)); err != nil {
		t.Error(err)
	}
	nothingLeft(t, place)
}

func TestFoldersThatAnAppHasClosedAreRemoved(t *testing.T) {
	r, _ := newRunner(t) // which checks it
	start(t, r, dyno.Spec{UID: uid(1), Slug: dynotest.Slug(t), Command: "mkdir -p a/b && touch a/b/c && chmod 000 a/b && chmod 500 a . && echo closed"})
}

// TestNothingGetsAway has one try: it has left the session, its parents have
// ended and its environment is wiped.
func TestNothingGetsAway(t *testing.T) {
	need.Tool(t, "setsid")
	for name, less := range variants() {
		t.Run(name, func(t *testing.T) {
			r, _ := newRunner(t)
			less(r)
			dir := dynotest.Dir(t)
			name := uuid.NewString()
			var out bytes.Buffer
			id := uuid.NewString()
			_, err := r.Start(within(t), dyno.Spec{
				ID: id, UID: uid(1), Dir: dir, Output: &out,
				Command: `mkfifo go; (env -i setsid sh -c '(sh -c "echo > go; sleep 600; true" ` + name + ` & ) ' &); read x < go; exit 9`,
			})
			if err != nil {
				t.Fatal(err)
			}
			exit, err := r.Wait(within(t), id)
			if err != nil || exit.Code != 9 {
				t.Errorf("ended as %+v, %v, %q", exit, err, out.String())
			}
			all, err := exec.Command("ps", "-eo", "args").Output()
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(all), name) {
				t.Error("it has got away")
			}
		})
	}
}

func TestMain(m *testing.M) {
	pid1.Main()
	dynotest.Main(openVariant)
	os.Exit(m.Run())
}
