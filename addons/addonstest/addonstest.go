// Package addonstest is the contract of addons.Provider as a test. A provider
// is finished when Run passes on it, with a real client on real resources.
package addonstest

import (
	"context"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"

	"niwa/addons"
	"niwa/addons/engine"
	"niwa/platform/pki"
	"niwa/platform/proc"
)

// Suite says what Run has to know of a provider on one of its engines.
type Suite struct {
	Open func(ctx context.Context, c engine.Config) (Provider, error)
	// Config is what it is opened with, beyond what NewHome makes.
	Config engine.Config
	// Dial opens a client with the config of a resource.
	Dial func(ctx context.Context, config map[string]string) (Client, error)
	// Plan allows at most 20 connections, and Larger more.
	Plan, Larger addons.Plan
	// Durable says that data outlive the provider.
	Durable bool
	// Elsewhere says that so do servers, at an address of their own.
	Elsewhere bool
	// Unlimited says that connections are not limited, which Info tells.
	Unlimited bool
	// Kill ends the server of a resource at once; nil when niwa itself is it.
	Kill func(t *testing.T, h *Home, id string)
	// Remains looks for what a deprovisioned resource left behind.
	Remains func(t *testing.T, h *Home, id string) []string
	// Lacks is what Backup says where this machine has no program that can
	// read the engine's data; empty where it always has.
	Lacks string
	// WriteRefused says that an error is a credential's lack of rights.
	WriteRefused func(err error) bool
}

// Provider is a provider that can be closed.
type Provider interface {
	addons.Provider
	Close(ctx context.Context) error
}

// Client is one connection to a resource.
type Client interface {
	Put(ctx context.Context, key, value string) error
	Get(ctx context.Context, key string) (string, error)
	// Secure says that the connection is encrypted.
	Secure(ctx context.Context) (bool, error)
	Close()
}

// Home is a data directory and what niwa would keep in it.
type Home struct {
	Dir   string
	CA    *pki.Authority
	Procs *proc.Table
	Log   *slog.Logger
}

// EngineDir is the directory of the provider.
func (h *Home) EngineDir() string { return filepath.Join(h.Dir, "engine") }

// Config is what a provider is opened with, for an engine.
func (h *Home) Config(mode engine.Mode) engine.Config {
	return h.complete(engine.Config{Choice: engine.Choice{Mode: mode}})
}

func (h *Home) complete(c engine.Config) engine.Config {
	c.Dir, c.Procs, c.CA, c.Log = h.EngineDir(), h.Procs, h.CA, h.Log
	return c
}

// NewHome makes a data directory that other users can pass through, as
// servers of theirs must.
func NewHome(t testing.TB) *Home {
	t.Helper()
	dir := tempDir(t)
	ca, err := pki.Open(filepath.Join(dir, "ca"))
	if err != nil {
		t.Fatal(err)
	}
	h := &Home{Dir: dir, CA: ca, Log: slog.New(slog.NewTextHandler(testWriter{t}, nil))}
	h.openProcs(t)
	return h
}

// tempDir is a directory that goes with the test: in memory where there is
// room, because what these tests would wait for most is a disk.
func tempDir(t testing.TB) string {
	t.Helper()
	parent := ""
	const room = 4 << 30
	var shm unix.Statfs_t
	if err := unix.Statfs("/dev/shm", &shm); err == nil && uint64(shm.Bavail)*uint64(shm.Bsize) > room {
		parent = "/dev/shm"
	}
	dir, err := os.MkdirTemp(parent, "niwa-test-")
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("removing the test's files: %v", err)
		}
	})
	return dir
}

func (h *Home) openProcs(t testing.TB) {
	t.Helper()
	procs, err := proc.Open(filepath.Join(h.Dir, "procs"))
	if err != nil {
		t.Fatal(err)
	}
	h.Procs = procs
	t.Cleanup(func() {
		if err := procs.Close(context.Background()); err != nil {
			t.Errorf("close the process table: %v", err)
		}
	})
}

// testWriter gives a log to a test.
type testWriter struct{ t testing.TB }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Helper()
	w.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}

// fixture is an open provider under test.
type fixture struct {
	Suite
	*Home
	Provider
}

func (s Suite) open(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{Suite: s, Home: NewHome(t)}
	f.reopen(t)
	t.Cleanup(func() {
		if err := f.Close(context.Background()); err != nil {
			t.Errorf("close the provider: %v", err)
		}
	})
	return f
}

// reopen opens the provider on its directory, as a new niwa does.
func (f *fixture) reopen(t *testing.T) {
	t.Helper()
	provider, err := f.Open(t.Context(), f.complete(f.Suite.Config))
	if err != nil {
		t.Fatal(err)
	}
	f.Provider = provider
}

// provision provisions a new resource of the smaller plan.
func (f *fixture) provision(t *testing.T) (id string, config map[string]string) {
	t.Helper()
	id = uuid.NewString()
	return id, f.provisionAs(t, id)
}

func (f *fixture) provisionAs(t *testing.T, id string) map[string]string {
	t.Helper()
	resource, err := f.Provision(t.Context(), f.request(id))
	if err != nil {
		t.Fatalf("provision: %v", err)
	}
	return resource.Config
}

func (f *fixture) request(id string) addons.Request {
	return addons.Request{ID: id, Name: "curved-14721", Plan: f.Plan}
}

func (f *fixture) dial(t *testing.T, config map[string]string) Client {
	t.Helper()
	client, err := f.Dial(t.Context(), config)
	if err != nil {
		t.Fatalf("dial: %v", err)
	}
	t.Cleanup(client.Close)
	return client
}

func put(t *testing.T, c Client, key, value string) {
	t.Helper()
	if err := c.Put(t.Context(), key, value); err != nil {
		t.Fatalf("put %s: %v", key, err)
	}
}

func wantValue(t *testing.T, c Client, key, want string) {
	t.Helper()
	if got, err := c.Get(t.Context(), key); err != nil || got != want {
		t.Fatalf("get %s: %q, %v; want %q", key, got, err, want)
	}
}

// refused fails the test when a config lets a client in.
func (f *fixture) refused(t *testing.T, config map[string]string, why string) {
	t.Helper()
	client, err := f.Dial(t.Context(), config)
	if err != nil {
		return
	}
	defer client.Close()
	t.Errorf("a client was let in, though %s", why)
}

// eventually waits until f returns nil.
func eventually(t *testing.T, what string, f func() error) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %v", what, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// withSecretOf is the URL of b with the user and password of a.
func withSecretOf(t *testing.T, a, b map[string]string) map[string]string {
	t.Helper()
	from, to := parse(t, a), parse(t, b)
	to.User = from.User
	return map[string]string{"URL": to.String()}
}

func parse(t *testing.T, config map[string]string) *url.URL {
	t.Helper()
	u, err := url.Parse(config["URL"])
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func secret(t *testing.T, config map[string]string) string {
	t.Helper()
	password, ok := parse(t, config).User.Password()
	if !ok || len(password) < 32 {
		t.Fatalf("the URL holds no password worth the name")
	}
	return password
}

// KillProcess ends a process of niwa's at once, with all that came of it.
func KillProcess(t *testing.T, procs *proc.Table, task string) {
	t.Helper()
	process, ok := procs.Get(task)
	if !ok {
		t.Fatalf("no process %s", task)
	}
	if err := syscall.Kill(process.Pid(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-process.Done()
}
