package build

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"niwa/platform"
	"niwa/platform/platformtest/need"
)

// entry is a file of an archive: a path, and its text or where it links.
type entry struct {
	name, text string
	mode       int64
	typ        byte
	link       string
}

func tarOf(t testing.TB, entries ...entry) *bytes.Buffer {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Mode: e.mode, Typeflag: e.typ, Linkname: e.link}
		if h.Mode == 0 {
			h.Mode = 0o644
		}
		if h.Typeflag == 0 {
			h.Typeflag = tar.TypeReg
		}
		if h.Typeflag == tar.TypeReg {
			h.Size = int64(len(e.text))
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, e.text); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return &buf
}

func gzipped(t testing.TB, r io.Reader) *bytes.Buffer {
	t.Helper()
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	if _, err := io.Copy(w, r); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return &buf
}

// bench is a Builder with what a test has to know of it.
type bench struct {
	*Builder
	t    testing.TB
	dir  string
	app  string
	uid  int
	last *watched
}

func newBench(t testing.TB, change func(*Config)) *bench {
	t.Helper()
	need.Tool(t, "bash")
	dir := reachable(t)
	cfg := Config{
		Runner:     newRunner(t),
		Dir:        filepath.Join(dir, "builds"),
		CacheDir:   filepath.Join(dir, "cache"),
		Buildpacks: os.DirFS("../../buildpacks"),
		MachineEnv: machineEnv(),
	}
	if change != nil {
		change(&cfg)
	}
	b := &bench{Builder: New(cfg), t: t, dir: dir, app: uuid.NewString()}
	if os.Geteuid() == 0 {
		b.uid = 28_401
	}
	return b
}

// in makes a bench serve a subtest, so that subtests share an app's cache.
func (b *bench) in(t testing.TB) *bench {
	sub := *b
	sub.t = t
	return &sub
}

// twin serves a subtest, after which the app's cache is again as it was: what one
// changes in it the next does not see.
func (b *bench) twin(t testing.TB) *bench {
	t.Helper()
	cache := filepath.Join(b.cfg.CacheDir, b.app)
	kept := filepath.Join(b.dir, uuid.NewString())
	if out, err := exec.Command("cp", "-a", cache, kept).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Cleanup(func() {
		if err := errors.Join(removeAll(b.cfg.CacheDir, b.app), os.Rename(kept, cache)); err != nil {
			t.Error(err)
		}
	})
	return b.in(t)
}

// finding is the same app on a machine where a folder is first on the PATH.
func (b *bench) finding(folder string) *bench {
	sub, cfg := *b, b.cfg
	cfg.MachineEnv = maps.Clone(cfg.MachineEnv)
	cfg.MachineEnv["PATH"] = folder + ":" + cfg.MachineEnv["PATH"]
	sub.Builder = New(cfg)
	return &sub
}

// reachable is a folder that other users can pass through.
func reachable(t testing.TB) string {
	dir := t.TempDir()
	for d := dir; d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func machineEnv() map[string]string {
	env := map[string]string{}
	for _, pair := range os.Environ() {
		name, value, _ := strings.Cut(pair, "=")
		switch name {
		case "PATH", "GOPROXY", "GONOSUMDB", "GOSUMDB", "GONOSUMCHECK", "GOFLAGS", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
			"SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS", "npm_config_registry", "NPM_CONFIG_REGISTRY", "PIP_INDEX_URL", "MAVEN_MIRROR_URL":
			env[name] = value
		}
		if strings.HasPrefix(name, "BUNDLE_MIRROR__") {
			env[name] = value
		}
	}
	return env
}

func (b *bench) request(source io.Reader) Request {
	id := uuid.NewString()
	b.last = &watched{}
	return Request{
		ID: id, AppID: b.app, UID: b.uid, Stack: "heroku-24", Source: source, Version: "abc123",
		SlugPath: filepath.Join(b.dir, id+".tgz"), Output: b.last,
	}
}

// build builds, and fails the test if it does not succeed.
func (b *bench) build(req Request) (Result, map[string]entry) {
	b.t.Helper()
	result, err := b.Build(b.t.Context(), req)
	if err != nil {
		b.t.Fatalf("Build: %v\n%s", err, b.last)
	}
	b.nothingLeft()
	return result, readSlug(b.t, req.SlugPath)
}

// reject builds, and fails the test if it is not rejected.
func (b *bench) reject(req Request) string {
	b.t.Helper()
	_, err := b.Build(b.t.Context(), req)
	var told *platform.Error
	if !errors.As(err, &told) || told.ID != Failed {
		b.t.Fatalf("Build = %v, want a *platform.Error %s\n%s", err, Failed, b.last)
	}
	if _, err := os.Stat(req.SlugPath); !errors.Is(err, fs.ErrNotExist) {
		b.t.Errorf("a rejected build has left a slug (%v)", err)
	}
	b.nothingLeft()
	return told.Message
}

func (b *bench) nothingLeft() {
	b.t.Helper()
	if left, err := os.ReadDir(b.cfg.Dir); err != nil || len(left) > 0 {
		b.t.Errorf("left in the folder of builds: %v, %v", left, err)
	}
}

func readSlug(t testing.TB, path string) map[string]entry {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	gz, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]entry{}
	for tr := tar.NewReader(gz); ; {
		h, err := tr.Next()
		if err == io.EOF {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(tr)
		if err != nil {
			t.Fatal(err)
		}
		files[h.Name] = entry{name: h.Name, text: string(text), mode: h.Mode, typ: h.Typeflag, link: h.Linkname}
	}
}

// watched is the output of a build, and can be waited on.
type watched struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (w *watched) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.buf.Write(p)
}

func (w *watched) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.buf.String()
}

func (w *watched) waitFor(t testing.TB, text string) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !strings.Contains(w.String(), text) {
		if time.Now().After(deadline) {
			t.Fatalf("output has no %q:\n%s", text, w)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (w *watched) has(t testing.TB, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !strings.Contains(w.String(), line) {
			t.Errorf("output has no %q:\n%s", line, w)
		}
	}
}
