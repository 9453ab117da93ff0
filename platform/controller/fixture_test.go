package controller_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"niwa/addons"
	"niwa/addons/catalog"
	"niwa/platform"
	"niwa/platform/build"
	"niwa/platform/controller"
	"niwa/platform/dyno"
	"niwa/platform/logplex"
	"niwa/platform/store"
	"niwa/router/route"
)

// fixture is a controller on a real store, logplex and route table, with a
// runner and a provider at its edges that do what a test tells them.
type fixture struct {
	*controller.Controller
	store    *store.Store
	logs     *logplex.Logplex
	routes   *route.Table
	runner   *fakeRunner
	killed   atomic.Bool // it starts nothing any more
	provider *fakeProvider
	dir      string
}

const market = `
categories:
  - {slug: data-stores, name: Data Stores}
services:
  - slug: quick
    name: Quick
    description: Provisioned while one waits.
    docs: https://devcenter.heroku.com/articles/quick
    category: data-stores
    provider: redis
    attachment: QUICK
    prefix: QUICK
    default: small
    plans:
      - {slug: small, name: Small, cents: 0, connections: 5}
      - {slug: large, name: Large, cents: 100, connections: 9}
  - slug: slow
    name: Slow
    description: Provisioned in the background.
    docs: https://devcenter.heroku.com/articles/slow
    category: data-stores
    provider: redis
    attachment: DATABASE
    prefix: SLOW
    colors: true
    async: true
    default: small
    plans:
      - {slug: small, name: Small, cents: 0, connections: 5}
`

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := open(t, t.TempDir())
	if err := f.EnsureAccount(t.Context(), "gardener@localhost", strings.Repeat("t", 40)); err != nil {
		t.Fatal(err)
	}
	if err := f.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return f
}

// open opens a controller on a data directory, and closes it with the test.
func open(t *testing.T, dir string, with ...func(*controller.Config)) *fixture {
	t.Helper()
	return openOver(t, dir, &fakeRunner{dynos: map[string]*fakeDyno{}}, with...)
}

// openOver is open with a runner that may have dynos already.
func openOver(t *testing.T, dir string, runner *fakeRunner, with ...func(*controller.Config)) *fixture {
	t.Helper()
	f := &fixture{dir: dir, runner: runner, provider: &fakeProvider{}}
	var err error
	if f.store, err = store.Open(t.Context(), filepath.Join(dir, "niwa.db"), bytes.Repeat([]byte{7}, 32)); err != nil {
		t.Fatal(err)
	}
	if f.logs, err = logplex.Open(filepath.Join(dir, "logs")); err != nil {
		t.Fatal(err)
	}
	if f.routes, err = route.Open(filepath.Join(dir, "routes.log")); err != nil {
		t.Fatal(err)
	}
	services, err := catalog.Load([]byte(market))
	if err != nil {
		t.Fatal(err)
	}
	cfg := controller.Config{
		Store: f.store, Runner: mortal{f.runner, &f.killed}, Builder: build.New(build.Config{Runner: f.runner, Dir: filepath.Join(dir, "builds"), CacheDir: filepath.Join(dir, "cache")}), Logs: f.logs, Routes: f.routes, Catalog: services,
		Providers: map[string]addons.Provider{"redis": f.provider}, Dir: dir, Domain: "localhost",
		RouterURL: func(host string) string { return "http://" + host + "/" },
		Forget:    func(string) error { return nil },
		Log:       slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
	for _, change := range with {
		change(&cfg)
	}
	f.Controller = controller.New(cfg)
	t.Cleanup(f.shut)
	return f
}

// shut closes everything; a second time it does nothing.
func (f *fixture) shut() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	f.Close(ctx)
	f.logs.Close()
	f.store.Close()
}

// deploy gives an app a slug with these process types, and releases it.
func (f *fixture) deploy(t *testing.T, app platform.App, types map[string]string) platform.Release {
	t.Helper()
	at := time.Now().UTC().Truncate(time.Microsecond)
	slug := platform.Slug{ID: uuid.NewString(), AppID: app.ID, Stack: platform.DefaultStack, Checksum: "SHA256:00", Size: 1, ProcessTypes: types, CreatedAt: at, UpdatedAt: at}
	if err := f.store.Update(t.Context(), func(tx *store.Tx) error { return tx.InsertSlug(slug) }); err != nil {
		t.Fatal(err)
	}
	r, err := f.ReleaseSlug(t.Context(), app.ID, slug.ID, "Deploy")
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (f *fixture) app(t *testing.T, name string) platform.App {
	t.Helper()
	app, err := f.CreateApp(t.Context(), name, "")
	if err != nil {
		t.Fatal(err)
	}
	return app
}

// dynosAre waits until an app's dynos are "web.1 up v2, ..." as listed.
func (f *fixture) dynosAre(t *testing.T, app, want string) {
	t.Helper()
	await(t, want, func() string {
		dynos, err := f.Dynos(t.Context(), app)
		if err != nil {
			return err.Error()
		}
		var got []string
		for _, d := range dynos {
			got = append(got, fmt.Sprintf("%s %s v%d", d.Name, d.State, d.Version))
		}
		return strings.Join(got, ", ")
	})
}

// await waits until got gives what is wanted.
func await(t *testing.T, want string, got func() string) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for got() != want {
		if time.Now().After(deadline) {
			t.Fatalf("got  %q\nwant %q", got(), want)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func refused(t *testing.T, err error, id string) *platform.Error {
	t.Helper()
	var e *platform.Error
	if !errors.As(err, &e) || e.ID != id {
		t.Fatalf("got error %v, want one with id %s", err, id)
	}
	return e
}

// mortal is a runner in the hands of a platform that may have been killed.
type mortal struct {
	*fakeRunner
	killed *atomic.Bool
}

func (m mortal) Start(ctx context.Context, spec dyno.Spec) (string, error) {
	if m.killed.Load() {
		return "", errors.New("this platform is dead")
	}
	return m.fakeRunner.Start(ctx, spec)
}

// fakeRunner runs three commands: "listen" has a port until it is stopped,
// "wait" waits to be stopped, "exit N" ends at once. Output is what they were
// given as ECHO.
type fakeRunner struct {
	mu      sync.Mutex
	dynos   map[string]*fakeDyno
	started []dyno.Spec
	adopted map[string]bool
	hold    chan struct{} // "exit N" waits for it to be closed
	broken  error         // why nothing can be started
	memory  int64         // what every dyno uses
	peak    int           // the most that ran at the same time
}

type fakeDyno struct {
	stop chan struct{}
	once sync.Once
	done chan struct{}
	exit dyno.Exit
	addr string
}

func (r *fakeRunner) Start(_ context.Context, spec dyno.Spec) (string, error) {
	if err := r.trouble(nil); err != nil {
		return "", err
	}
	d := &fakeDyno{stop: make(chan struct{}), done: make(chan struct{})}
	var ln net.Listener
	var code int
	switch {
	case spec.Command == "listen":
		var err error
		if ln, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			return "", err
		}
		d.addr = ln.Addr().String()
	case strings.HasPrefix(spec.Command, "exit "):
		fmt.Sscanf(spec.Command, "exit %d", &code)
		if r.hold == nil {
			d.once.Do(func() { close(d.stop) })
		} else {
			go func() { <-r.hold; d.once.Do(func() { close(d.stop) }) }()
		}
	case spec.Command != "wait":
		return "", fmt.Errorf("no such command: %s", spec.Command)
	}
	if spec.Output != nil && spec.Env["ECHO"] != "" {
		fmt.Fprintln(spec.Output, spec.Env["ECHO"])
	}
	r.mu.Lock()
	r.dynos[spec.ID] = d
	spec.Env = maps.Clone(spec.Env)
	r.started = append(r.started, spec)
	r.peak = max(r.peak, r.alive())
	r.mu.Unlock()
	go func() {
		<-d.stop
		if ln != nil {
			ln.Close()
		}
		if d.exit == (dyno.Exit{}) {
			d.exit = dyno.Exit{Code: code}
		}
		close(d.done)
	}()
	return d.addr, nil
}

func (r *fakeRunner) Adopt(_ context.Context, spec dyno.Spec) (string, error) {
	d := r.find(spec.ID)
	if d == nil {
		return "", errors.New("it is not there")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.adopted == nil {
		r.adopted = map[string]bool{}
	}
	r.adopted[spec.ID] = true
	return d.addr, nil
}

func (r *fakeRunner) Accepts(ctx context.Context, id string) bool {
	d := r.find(id)
	return d != nil && d.addr != "" && dyno.Answers(ctx, d.addr)
}

// Sweep ends what was not adopted.
func (r *fakeRunner) Sweep(context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, d := range r.dynos {
		if !r.adopted[id] {
			d.once.Do(func() { close(d.stop) })
		}
	}
	return nil
}

func (r *fakeRunner) Memory(context.Context, string) (int64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.memory, nil
}

// lose has all dynos end with the engine that they run in.
func (r *fakeRunner) lose() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, d := range r.dynos {
		d.once.Do(func() {
			d.exit = dyno.Exit{Code: 143, Lost: true}
			close(d.stop)
		})
	}
}

// trouble says what keeps dynos from starting; with why it changes first.
func (r *fakeRunner) trouble(why *error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if why != nil {
		r.broken = *why
	}
	return r.broken
}

// running counts the dynos that have not ended.
func (r *fakeRunner) running() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.alive()
}

func (r *fakeRunner) alive() int {
	n := 0
	for _, d := range r.dynos {
		select {
		case <-d.done:
		default:
			n++
		}
	}
	return n
}

func (r *fakeRunner) find(id string) *fakeDyno {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.dynos[id]
}

func (r *fakeRunner) Stop(_ context.Context, id string, _ time.Duration) error {
	d := r.find(id)
	d.once.Do(func() { close(d.stop) })
	<-d.done
	return nil
}

func (r *fakeRunner) Wait(_ context.Context, id string) (dyno.Exit, error) {
	d := r.find(id)
	<-d.done
	return d.exit, nil
}

// starts counts the dynos of a command that were ever started.
func (r *fakeRunner) starts(command string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, spec := range r.started {
		if spec.Command == command {
			n++
		}
	}
	return n
}

func (r *fakeRunner) last() dyno.Spec {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.started[len(r.started)-1]
}

// fakeProvider counts what it is asked for, and fails or waits when told to.
type fakeProvider struct {
	mu     sync.Mutex
	have   map[string]bool
	fail   error
	hold   chan struct{} // Provision waits for it to be closed
	rotate int
	calls  int // of Provision
}

// breaks has everything fail that the provider is asked for; nil repairs it.
func (p *fakeProvider) breaks(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fail = err
}

func (p *fakeProvider) asked() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.calls
}

func (p *fakeProvider) Provision(ctx context.Context, req addons.Request) (addons.Resource, error) {
	p.mu.Lock()
	hold, fail := p.hold, p.fail
	p.calls++
	if p.have == nil {
		p.have = map[string]bool{}
	}
	p.have[req.ID] = true // half made
	p.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
			return addons.Resource{}, ctx.Err()
		}
	}
	if fail != nil {
		return addons.Resource{}, fail
	}
	return addons.Resource{Engine: "native", Config: map[string]string{"URL": "fake://" + req.ID}}, nil
}

func (p *fakeProvider) ChangePlan(context.Context, string, addons.Plan) error { return nil }

func (p *fakeProvider) Deprovision(_ context.Context, id string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fail != nil {
		return p.fail
	}
	delete(p.have, id)
	return nil
}

func (p *fakeProvider) Rotate(_ context.Context, id, _ string) (map[string]string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fail != nil {
		return nil, p.fail
	}
	p.rotate++
	return map[string]string{"URL": fmt.Sprintf("fake://%s/%d", id, p.rotate)}, nil
}

func (p *fakeProvider) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.have)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
