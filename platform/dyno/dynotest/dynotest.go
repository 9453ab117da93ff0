// Package dynotest is the contract of dyno.Runner as a test. A runner is
// finished when Run passes on it.
package dynotest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"

	"niwa/platform/dyno"
)

// limit bounds every wait; reaching it is a failure.
const limit = 60 * time.Second

// Options say what a runner is given, and what it cannot do here.
type Options struct {
	UID       int  // what Spec.UID is, and one more for a second app; 0 where niwa is not root
	Exposed   bool // dynos see the machine's own files, processes and memory
	Unlimited bool // nothing limits the number of a dyno's processes
}

// Run tests the runners that newRunner makes. Whatever newRunner registers
// with t.Cleanup runs when all dynos of a test have been stopped, and may
// check that they left nothing.
func Run(t *testing.T, newRunner func(*testing.T) dyno.Runner, opts Options) {
	tests := map[string]func(*testing.T, *bench){
		"how a dyno ended is told":                                   exits,
		"what waits is answered":                                     waits,
		"the environment is the dyno's own":                          environment,
		"no descriptor of niwa reaches a dyno":                       descriptors,
		"the dyno's user is the app's":                               user,
		".profile.d and .profile are read":                           profile,
		"two dynos do not share their files":                         ownFiles,
		"a directory outlives its dyno":                              directory,
		"a start that fails leaves nothing":                          badStarts,
		"hostile slugs are refused":                                  hostileSlugs,
		"ordinary slugs are unpacked":                                goodSlugs,
		"a dyno is asked to end before it is made to":                gracefulStop,
		"a dyno that does not end is killed whole":                   forcedStop,
		"what a dyno leaves behind is killed":                        leftBehind,
		"stopping what does not run is no error":                     idleStop,
		"output keeps its order":                                     outputOrder,
		"many writers lose nothing and keep their lines whole":       flood,
		"a slow reader gets everything before the dyno is said over": slowOutput,
		"a failing reader does not hold the dyno up":                 failingOutput,
		"input is piped in and ends":                                 input,
		"a terminal has its size":                                    terminalSize,
		"a terminal is talked to":                                    terminalTalk,
		"a terminal changes its size":                                terminalResize,
		"SIGTERM reaches who has left the session":                   stopAway,
		"memory is measured":                                         memoryMeasured,
		"a dyno that uses twice its memory is killed":                memoryExhausted,
		"a dyno that is worth its memory is not":                     memoryWithin,
		"a dyno has as many processes as it may":                     processLimit,
		"a dyno sees its own memory, /app and /tmp":                  ownView,
		"a dyno sees its own processes alone":                        ownProcesses,
		"a dyno cannot become another user":                          privileges,
		"another app's dyno is out of reach":                         otherApp,
	}
	// What a runner cannot do here it says, and is not held to.
	if opts.Exposed {
		delete(tests, "a dyno sees its own memory, /app and /tmp")
		delete(tests, "a dyno sees its own processes alone")
	}
	if opts.Unlimited {
		delete(tests, "a dyno has as many processes as it may")
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			leak(t)
			test(t, &bench{runner: newRunner(t), app: uuid.NewString(), Options: opts})
		})
	}
}

// leak opens a descriptor that children inherit, as careless parents of niwa
// do.
func leak(t *testing.T) {
	t.Helper()
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD, 100)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
}

// bench is what a test starts dynos with.
type bench struct {
	runner dyno.Runner
	app    string // of dynos that are not said to be of another
	Options
}

// run is a dyno that has been started.
type run struct {
	bench *bench
	id    string
	addr  string
	out   *output
}

// start starts a dyno, in an empty slug if the spec names nothing else, and
// stops it at the end of the test.
func (b *bench) start(t *testing.T, spec dyno.Spec) *run {
	t.Helper()
	r := &run{bench: b, out: newOutput()}
	b.fill(t, &spec)
	if spec.Output == nil {
		spec.Output = r.out
	}
	addr, err := b.runner.Start(within(t), spec)
	if err != nil {
		t.Fatalf("start: %v", err)
	}
	r.id, r.addr = spec.ID, addr
	r.endsWith(t)
	return r
}

// endsWith has a dyno end with the test.
func (r *run) endsWith(t *testing.T) {
	t.Cleanup(func() {
		if err := r.bench.runner.Stop(within(t), r.id, 0); err != nil {
			t.Errorf("stop: %v", err)
		}
		if _, err := r.bench.runner.Wait(within(t), r.id); err != nil {
			t.Errorf("wait: %v", err)
		}
	})
}

func (b *bench) fill(t *testing.T, spec *dyno.Spec) {
	if spec.ID == "" {
		spec.ID = uuid.NewString()
	}
	if spec.App == "" {
		spec.App = b.app
	}
	if spec.UID == 0 {
		spec.UID = b.UID
	}
	if spec.Slug == "" && spec.Dir == "" {
		spec.Slug = Slug(t, Entry{Name: "Procfile", Text: "web: true\n"})
	}
}

// sh starts a command.
func (b *bench) sh(t *testing.T, command string) *run {
	t.Helper()
	return b.start(t, dyno.Spec{Command: command})
}

// result runs a command to its end.
func (b *bench) result(t *testing.T, spec dyno.Spec) (dyno.Exit, string) {
	t.Helper()
	r := b.start(t, spec)
	exit := r.wait(t)
	return exit, r.out.String()
}

func (r *run) wait(t *testing.T) dyno.Exit {
	t.Helper()
	exit, err := r.bench.runner.Wait(within(t), r.id)
	if err != nil {
		t.Fatalf("wait: %v; output so far: %q", err, r.out.String())
	}
	return exit
}

func (r *run) stop(t *testing.T, grace time.Duration) {
	t.Helper()
	if err := r.bench.runner.Stop(within(t), r.id, grace); err != nil {
		t.Fatalf("stop: %v", err)
	}
}

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	t.Cleanup(cancel)
	return ctx
}

// output is a Spec.Output that can be waited on.
type output struct {
	mu   sync.Mutex
	grew *sync.Cond
	buf  bytes.Buffer
}

func newOutput() *output {
	o := &output{}
	o.grew = sync.NewCond(&o.mu)
	return o
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	defer o.grew.Broadcast()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// expect waits until the output has text in it.
func (o *output) expect(t *testing.T, text string) {
	t.Helper()
	late := time.AfterFunc(limit, o.grew.Broadcast)
	defer late.Stop()
	deadline := time.Now().Add(limit)
	o.mu.Lock()
	defer o.mu.Unlock()
	for !strings.Contains(o.buf.String(), text) {
		if time.Now().After(deadline) {
			t.Fatalf("%q was expected, the output is %q", text, o.buf.String())
		}
		o.grew.Wait()
	}
}

// lifeline is a named pipe in a dyno's directory. A dyno that opens it, as
// "exec 9>lifeline", keeps it open in all its processes.
type lifeline struct{ f *os.File }

func newLifeline(t *testing.T, dir string) lifeline {
	t.Helper()
	path := filepath.Join(dir, "lifeline")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return lifeline{f}
}

// loose says whether nothing holds the lifeline.
func (l lifeline) loose() bool {
	if err := l.f.SetReadDeadline(time.Now().Add(10 * time.Millisecond)); err != nil {
		return false
	}
	n, err := l.f.Read(make([]byte, 1))
	return n == 0 && err == io.EOF
}

// cut fails the test when something holds the lifeline.
func (l lifeline) cut(t *testing.T) {
	t.Helper()
	if err := l.f.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	if n, err := l.f.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("a process of the dyno is still running (read %d, %v)", n, err)
	}
}

// Dir returns a temporary directory that app users can reach.
func Dir(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// Entry is an entry of a slug: a file unless Type says otherwise.
type Entry struct {
	Name, Text, Link string
	Type             byte
	Mode             int64
}

// Slug writes a slug and returns its path.
func Slug(t testing.TB, entries ...Entry) string {
	t.Helper()
	var buf bytes.Buffer
	zw := gzip.NewWriter(&buf)
	tw := tar.NewWriter(zw)
	for _, e := range entries {
		hdr := &tar.Header{Name: e.Name, Typeflag: e.Type, Mode: e.Mode, Linkname: e.Link, Size: int64(len(e.Text)), Format: tar.FormatGNU}
		if hdr.Typeflag == 0 {
			hdr.Typeflag = tar.TypeReg
		}
		if hdr.Mode == 0 {
			hdr.Mode = 0o755
		}
		if err := tw.WriteHeader(hdr); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(tw, e.Text); err != nil {
			t.Fatal(err)
		}
	}
	if err := tw.Close(); err != nil {
		t.Fatal(err)
	}
	if err := zw.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "slug.tgz")
	if err := os.WriteFile(path, buf.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
