package api

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"niwa/addons"
	"niwa/platform"
	"niwa/platform/dyno"
)

// fakeRunner runs a few commands inside the test: "serve" listens,
// "wait" does nothing until it is stopped, "say TEXT" speaks before it does,
// "echo TEXT" and "exit N" end.
// Builds fail on it.
type fakeRunner struct {
	mu    sync.Mutex
	dynos map[string]*fakeDyno
}

type fakeDyno struct {
	stop chan struct{}
	once sync.Once
	done chan struct{}
	code int
	ln   net.Listener // of "serve"
}

func (r *fakeRunner) Start(_ context.Context, spec dyno.Spec) (string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.dynos == nil {
		r.dynos = map[string]*fakeDyno{}
	}
	d := &fakeDyno{stop: make(chan struct{}), done: make(chan struct{})}
	addr := ""
	if spec.Command == "serve" {
		var err error
		if d.ln, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			return "", err
		}
		addr = d.ln.Addr().String()
	}
	r.dynos[spec.ID] = d
	go func() {
		defer close(d.done)
		d.code = d.run(spec)
	}()
	return addr, nil
}

func (r *fakeRunner) Adopt(context.Context, dyno.Spec) (string, error) {
	return "", errors.New("no such dyno")
}

func (r *fakeRunner) Accepts(_ context.Context, id string) bool {
	d := r.find(id)
	return d != nil && d.ln != nil
}

func (r *fakeRunner) Sweep(context.Context) error { return nil }

func (r *fakeRunner) Memory(context.Context, string) (int64, error) { return 0, nil }

func (d *fakeDyno) run(spec dyno.Spec) int {
	verb, rest, _ := strings.Cut(spec.Command, " ")
	switch verb {
	case "serve":
		<-d.stop
		d.ln.Close()
		return 143
	case "say":
		fmt.Fprintln(spec.Output, rest)
		<-d.stop
		return 143
	case "wait":
		<-d.stop
		return 143
	case "echo":
		fmt.Fprintln(spec.Output, rest)
		return 0
	case "exit":
		n, _ := strconv.Atoi(rest)
		return n
	}
	return 127
}

func (r *fakeRunner) find(id string) *fakeDyno {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.dynos[id]
}

func (r *fakeRunner) Stop(_ context.Context, id string, _ time.Duration) error {
	if d := r.find(id); d != nil {
		d.once.Do(func() { close(d.stop) })
		<-d.done
	}
	return nil
}

func (r *fakeRunner) Wait(ctx context.Context, id string) (dyno.Exit, error) {
	d := r.find(id)
	if d == nil {
		return dyno.Exit{}, errors.New("no such dyno")
	}
	select {
	case <-d.done:
		return dyno.Exit{Code: d.code}, nil
	case <-ctx.Done():
		return dyno.Exit{}, ctx.Err()
	}
}

// fakeProvider provisions URLs of servers that do not exist.
type fakeProvider struct {
	scheme string

	mu      sync.Mutex
	hold    chan struct{} // when set, Provision waits for it to close
	serial  int
	did     []string // what was asked of it, in order
	timeout string
}

func (p *fakeProvider) note(format string, args ...any) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.serial++
	p.did = append(p.did, fmt.Sprintf(format, args...))
	return p.serial
}

func (p *fakeProvider) asked() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string{}, p.did...)
}

func (p *fakeProvider) config(name string, serial int) map[string]string {
	return map[string]string{"URL": fmt.Sprintf("%s://%s:secret%d@127.0.0.1:5432/db", p.scheme, name, serial)}
}

func (p *fakeProvider) Provision(ctx context.Context, req addons.Request) (addons.Resource, error) {
	p.mu.Lock()
	hold := p.hold
	p.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
			return addons.Resource{}, ctx.Err()
		}
	}
	if req.Options["fail"] != "" {
		return addons.Resource{}, platform.Invalid("The plan is sold out.")
	}
	n := p.note("provision %s", req.Plan.Name)
	return addons.Resource{Config: p.config("owner", n), Engine: "fake", Message: "Made of nothing."}, nil
}

func (p *fakeProvider) ChangePlan(_ context.Context, _ string, plan addons.Plan) error {
	p.note("plan %s", plan.Name)
	return nil
}

func (p *fakeProvider) Deprovision(context.Context, string) error { p.note("deprovision"); return nil }

func (p *fakeProvider) Info(_ context.Context, _ string, plan addons.Plan) ([]addons.Row, error) {
	return []addons.Row{{Name: "Plan", Values: []string{plan.Name}}, {Name: "PG Version", Values: []string{"15.2"}}, {Name: "Engine", Values: []string{"<fake>"}}}, nil
}

func (p *fakeProvider) Rotate(_ context.Context, _, credential string) (map[string]string, error) {
	return p.config(credential, p.note("rotate %s", credential)), nil
}

func (p *fakeProvider) Disconnect(context.Context, string) error { p.note("disconnect"); return nil }

// fakePostgres can also reset and make credentials.
type fakePostgres struct{ fakeProvider }

func (p *fakePostgres) Reset(context.Context, string) error { p.note("reset"); return nil }

func (p *fakePostgres) CreateCredential(_ context.Context, _, name string) (map[string]string, error) {
	return p.config(name, p.note("create %s", name)), nil
}

func (p *fakePostgres) DestroyCredential(_ context.Context, _, name string) error {
	p.note("destroy %s", name)
	return nil
}

// fakeRedis has a setting.
type fakeRedis struct{ fakeProvider }

func (p *fakeRedis) CreateCredential(_ context.Context, _, name string) (map[string]string, error) {
	return p.config(name, 0), nil
}

func (p *fakeRedis) ResetStats(context.Context, string) error { p.note("stats"); return nil }

func (p *fakeRedis) Settings(context.Context, string) ([]addons.Setting, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return []addons.Setting{{Name: "timeout", Value: p.timeout, Default: "300", Desc: "Seconds"}}, nil
}

func (p *fakeRedis) Configure(ctx context.Context, id, name, value string) ([]addons.Setting, error) {
	if name != "timeout" {
		return nil, platform.Invalid("There is no setting %s.", name)
	}
	p.mu.Lock()
	p.timeout = value
	p.mu.Unlock()
	return p.Settings(ctx, id)
}

// logBuffer keeps what the API logs.
type logBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
