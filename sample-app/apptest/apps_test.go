package apptest

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestApps runs the app of each language as two dynos on a real Postgres, a
// real Redis and a broker, and lets everything happen to them:
//
//	go test ./sample-app/apptest -run TestApps/go -v
//
// One is run at a time, and the next is built meanwhile.
func TestApps(t *testing.T) {
	server, cache := startPostgres(t), startRedis(t)
	var turn sync.Mutex
	for _, l := range languages() {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			p := l.built(t)
			built := time.Now()
			turn.Lock()
			defer turn.Unlock()
			run := time.Now()
			testApp(t, startSite(t, p, server.new(t, l.name), cache))
			t.Logf("%s was built in %.1f s and run in %.1f s", l.name, built.Sub(began).Seconds(), time.Since(run).Seconds())
		})
	}
}

// site is an app with what it is given.
type site struct {
	*client
	program  *program
	database *database
	cache    *cacheServer
	proxy    *proxy
	broker   *broker
	first    *dyno // its cache through the proxy
	second   *dyno // in TLS with all servers, and its reads by a user that cannot write
}

func testApp(t *testing.T, s *site) {
	lonely := s.program.web(t, "DATABASE_URL=postgres://127.0.0.1:1/x", "REDIS_URL=redis://127.0.0.1:1", "KAFKA_URL=kafka://127.0.0.1:1")
	s.first.up(t)
	s.second.up(t)
	silent, err := net.Dial("tcp", strings.TrimPrefix(s.second.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close() // until then nobody asks anything on it, as on those that a router has in store
	tooLong := s.changeLocked(t)

	// Until now there is no broker, and nobody notices.
	t.Run("contract", func(t *testing.T) { Run(t, s.first.url, Options{Cached: true, Also: []string{s.second.url}}) })
	t.Run("connections", s.connections)
	s.broker.start(t)
	topic := s.broker.read(t)
	t.Run("without anything", func(t *testing.T) { withoutAnything(t, lonely.up(t)) })
	t.Run("a fill that comes late", s.lateFill)
	t.Run("a cache that only others reach", s.cutOff)
	t.Run("the past comes back", s.past)
	t.Run("a storm", func(t *testing.T) {
		for _, storm := range s.cacheStorms() {
			t.Run(storm.Name, func(t *testing.T) { s.weather(t, storm) })
		}
		t.Run("a statement that takes too long", func(t *testing.T) { unavailable(t, <-tooLong) })
		t.Run("Postgres is killed, and restarts", func(t *testing.T) {
			s.weather(t, Storm{Unavailable: true, Disturb: s.database.crash})
		})
	})
	t.Run("events", func(t *testing.T) { s.events(t, topic) })
	t.Run("log", s.logs)
	t.Run("stop", s.stop)
}

func startSite(t *testing.T, p *program, database *database, cache *cacheServer) *site {
	cache.must(t, "flushall")
	s := &site{program: p, database: database, cache: cache, broker: newBroker(t)}
	s.proxy = startProxy(t, s.cache.port)
	vars := append(s.broker.env(), "LOG_LEVEL=info")
	first := slices.Concat(vars, []string{"DATABASE_URL=" + s.database.plain(),
		"REDIS_URL=" + strings.Replace(s.cache.url("default", writerSecret, false), s.cache.port, s.proxy.port, 1)})
	second := slices.Concat(vars, []string{"DATABASE_URL=" + s.database.secured(),
		"REDIS_URL=" + s.cache.url("", writerSecret, true), "REDIS_READER_URL=" + s.cache.url("reader", readerSecret, true)})
	for _, vars := range [][]string{first, second} { // the second time there is nothing to do
		p.run(t, p.types["release"], vars...)
		p.run(t, p.postdeploy(t), vars...)
	}
	s.first, s.second = p.web(t, first...), p.web(t, second...)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the first dyno has said:\n%s\nthe second:\n%s", tail(s.first.log.String()), tail(s.second.log.String()))
		}
	})
	s.client = newClient(t, s.first.url, s.second.url)
	return s
}

// connections counts those that 200 clients have led to: two dynos have to do
// with what the smallest plans give.
func (s *site) connections(t *testing.T) {
	for name, d := range map[string]*dyno{"first": s.first, "second": s.second} {
		if n := d.connections(t, s.database.port); n == 0 || n > 9 {
			t.Errorf("the %s dyno has %d connections to Postgres, want 9 at most", name, n)
		}
		if n := d.connections(t, s.proxy.port, s.cache.tls); n == 0 || n > 8 {
			t.Errorf("the %s dyno has %d connections to Redis, want 8 at most", name, n)
		}
	}
}

func unavailable(t *testing.T, a answer) {
	t.Helper()
	if a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") != "1" {
		t.Errorf("the answer is %v with Retry-After %q, want 503 and 1", a, a.header.Get("Retry-After"))
	}
}

// at is a client of one dyno.
func (s *site) at(d *dyno) *client {
	return &client{bases: []string{d.url}, http: s.http, document: s.document, tag: s.tag + fmt.Sprint(time.Now().UnixNano())}
}

// changeLocked changes a user whose row somebody else has locked for good.
func (s *site) changeLocked(t *testing.T) <-chan answer {
	user, _ := s.wantUser(t, http.StatusCreated, "POST", "/users", input("Ada", s.email()))
	release := s.database.lock(t, user)
	answers := make(chan answer, 1)
	go func() {
		defer close(answers)
		defer release()
		a, err := s.do("PUT", path(user), input("Eve", user.Email))
		if err != nil {
			t.Errorf("changing a locked user: %v", err)
		}
		answers <- a
	}()
	return answers
}

func withoutAnything(t *testing.T, d *dyno) {
	c := newClient(t, d.url)
	quickest := time.Minute // of calls; the first one may be slow
	for _, call := range []string{"GET /health", "GET /users/1", "GET /users", "DELETE /users/1"} {
		method, path, _ := strings.Cut(call, " ")
		began := time.Now()
		unavailable(t, c.want(t, http.StatusServiceUnavailable, method, path, ""))
		quickest = min(quickest, time.Since(began))
	}
	if quickest > 2*time.Second {
		t.Errorf("requests wait %v for a Postgres that is away", quickest)
	}
	unavailable(t, c.want(t, http.StatusServiceUnavailable, "POST", "/users", input("Ada", c.email())))
	c.want(t, http.StatusOK, "GET", "/", "")
	if a := c.want(t, http.StatusOK, "GET", "/metrics", ""); !strings.Contains(string(a.body), "\noutbox_events NaN\n") {
		t.Errorf("without Postgres, nobody knows the length of the outbox:\n%s", a.body)
	}
	c.http.CloseIdleConnections()
	if err := d.stopped(t); err != nil {
		t.Error(err)
	}
}

// stop stops a dyno while it changes a user, which it does first.
func (s *site) stop(t *testing.T) {
	user, _ := s.at(s.second).wantUser(t, http.StatusCreated, "POST", "/users", input("Ada", s.email()))
	release := s.database.lock(t, user)
	answers := make(chan answer, 1)
	go func() {
		a, err := s.at(s.second).do("PUT", path(user), input("Eve", user.Email))
		if err != nil {
			t.Errorf("the request under way: %v", err)
		}
		answers <- a
	}()
	s.blocked(t)
	s.http.CloseIdleConnections() // an app may wait for what these will say
	s.second.signal(syscall.SIGTERM)
	select {
	case <-s.second.done:
		t.Error("it does not wait for the request under way")
	case a := <-answers:
		t.Errorf("the request under way is answered with %v", a)
	case <-time.After(300 * time.Millisecond): // of patience
	}
	release()
	if a := <-answers; a.status != http.StatusOK {
		t.Errorf("the request under way is answered with %v", a)
	}
	began := time.Now()
	if err := s.second.stopped(t); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it stops %v after it has answered", took)
	}
}

// blocked waits until a statement waits for a lock.
func (s *site) blocked(t *testing.T) {
	t.Helper()
	conn := s.database.connect(t)
	await(t, s.database.server, func(ctx context.Context) error {
		return conn.QueryRow(ctx, `SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'`).Scan()
	})
}
