package follow

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"niwa/router/route"
)

// patience is how long a test waits for what must come.
const patience = 10 * time.Second

// data is a data directory with a path short enough for a socket.
func data(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "niwa-follow-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// entry is an app with a web dyno at that address.
func entry(addr string) route.Entry {
	return route.Entry{Hosts: []string{"app.test"}, App: route.App{
		ID: "1", Name: "app", State: route.Serving, Dynos: []route.Dyno{{Name: "web.1", Addr: addr}}}}
}

// table has that app.
func table(addr string) *route.Table {
	t := route.New()
	if err := t.Set(entry(addr)); err != nil {
		panic(err)
	}
	return t
}

// leads says where a table leads.
func leads(t *route.Table) string {
	app, ok := t.Lookup("app.test")
	if !ok || len(app.Dynos) != 1 {
		return ""
	}
	return app.Dynos[0].Addr
}

// platform is a Publisher that serves.
type platform struct {
	*Publisher
	live  *route.Table
	lines chan Line
	said  *said
	stop  func()
}

func startPlatform(t *testing.T, dir, addr string) *platform {
	t.Helper()
	p := &platform{live: table(addr), lines: make(chan Line, 1000), said: &said{}}
	p.Publisher = NewPublisher(Config{Dir: Dir(dir), Routes: p.live, Log: p.said.logger(), Lines: func(lines []Line) {
		for _, l := range lines {
			p.lines <- l
		}
	}})
	ln, err := Listen(Dir(dir))
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- p.Serve(ln) }()
	p.stop = sync.OnceFunc(func() {
		p.Close()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	t.Cleanup(p.stop)
	return p
}

// router is a Follower that runs.
type router struct {
	*Follower
	live   *route.Table
	record *Record
	said   *said
	stop   func()
}

// startRouter starts a router that drains as drain does, or at once.
func startRouter(t *testing.T, dir string, drain func(ctx context.Context, addrs []string) error) *router {
	t.Helper()
	r := &router{live: table("from disk"), said: &said{}, record: register(t, dir)}
	return startFollower(t, r, FollowerConfig{Dial: Socket(Dir(dir)), Router: r.record.Router, Drain: drain})
}

func startFollower(t *testing.T, r *router, cfg FollowerConfig) *router {
	if cfg.Drain == nil {
		cfg.Drain = func(context.Context, []string) error { return nil }
	}
	cfg.Routes, cfg.Log = r.live, r.said.logger()
	r.Follower = NewFollower(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { r.Run(ctx); close(ended) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		<-ended
		if r.record == nil {
			return
		}
		if err := r.record.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(r.stop)
	return r
}

func register(t *testing.T, dir string) *Record {
	t.Helper()
	record, err := Register(Dir(dir), Router{ID: uuid.NewString(), PID: os.Getpid(), URL: "http://127.0.0.1:8080", StartedAt: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	return record
}

// uses waits until the router's table leads there.
func (r *router) uses(t *testing.T, addr string) {
	t.Helper()
	late := time.After(patience)
	for {
		changed := r.live.Changed()
		if leads(r.live) == addr {
			return
		}
		select {
		case <-changed:
		case <-late:
			t.Fatalf("the router's table leads to %q, not to %q; it said:\n%s", leads(r.live), addr, r.said)
		}
	}
}

func (p *platform) line(t *testing.T) Line {
	t.Helper()
	select {
	case l := <-p.lines:
		return l
	case <-time.After(patience):
		t.Fatal("no log line came")
		return Line{}
	}
}

// raw is a connection to the platform that says what the test has it say.
type raw struct {
	net.Conn
	in *bufio.Reader
}

func dial(t *testing.T, dir string) raw {
	t.Helper()
	c, err := net.Dial("unix", filepath.Join(Dir(dir), "socket"))
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(patience))
	t.Cleanup(func() { c.Close() })
	return raw{c, bufio.NewReader(c)}
}

func (c raw) say(t *testing.T, message any) {
	t.Helper()
	if err := json.NewEncoder(c).Encode(message); err != nil {
		t.Fatal(err)
	}
}

// hear is the next order.
func (c raw) hear(t *testing.T) (o order) {
	t.Helper()
	line, err := c.in.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &o)
	}
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// said is what somebody logged.
type said struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (s *said) logger() *slog.Logger { return slog.New(slog.NewTextHandler(s, nil)) }

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.Write(p)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.String()
}

func within(d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), d)
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal(fmt.Sprint("timed out waiting until ", what))
		}
	}
}
