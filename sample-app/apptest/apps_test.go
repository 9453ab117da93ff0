package apptest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestApps runs the app of each language as two dynos on a real Postgres, a
// real Redis and a broker, and lets everything happen to them:
//
//	go test ./sample-app/apptest -run TestApps/go -v
func TestApps(t *testing.T) {
	server, cache := startPostgres(t), startRedis(t)
	for _, l := range languages() {
		t.Run(l.name, func(t *testing.T) {
			p := l.built(t)
			began := time.Now()
			testApp(t, startSite(t, p, server.new(t, l.name), cache))
			t.Logf("%s took %.1f s beside its build", l.name, time.Since(began).Seconds())
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
	first    *dyno // through the proxy
	second   *dyno // in TLS, and its reads by a user that cannot write
}

func testApp(t *testing.T, s *site) {
	lonely := s.program.web(t, "DATABASE_URL=postgres://127.0.0.1:1/x", "REDIS_URL=redis://127.0.0.1:1", "KAFKA_URL=kafka://127.0.0.1:1")
	s.first.up(t)
	s.second.up(t)
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
	vars := append(s.broker.env(), "DATABASE_URL="+s.database.url, "LOG_LEVEL=info")
	for range 2 { // the second time there is nothing to do
		p.run(t, p.types["release"], vars...)
		p.run(t, p.postdeploy(t), vars...)
	}
	s.first = p.web(t, append(vars, "REDIS_URL="+strings.Replace(s.cache.url("default", writerSecret, false), s.cache.port, s.proxy.port, 1))...)
	s.second = p.web(t, append(vars, "REDIS_URL="+s.cache.url("default", writerSecret, true), "REDIS_READER_URL="+s.cache.url("reader", readerSecret, true))...)
	s.client = newClient(t, s.first.url, s.second.url)
	return s
}

// connections counts those that 200 clients have led to: two dynos have to do
// with what the smallest plans give.
func (s *site) connections(t *testing.T) {
	var n int
	const theirs = `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query NOT LIKE '%FOR UPDATE' AND pid <> pg_backend_pid()`
	if err := s.database.connect(t).QueryRow(t.Context(), theirs).Scan(&n); err != nil || n > 2*9 {
		t.Errorf("two dynos have %d connections to Postgres, want at most 9 each (%v)", n, err)
	}
	list, err := s.cache.admin.ClientList(t.Context()).Result()
	if n := strings.Count(list, "\n") - 1; err != nil || n > 2*8 {
		t.Errorf("two dynos have %d connections to Redis, want at most 8 each (%v)", n, err)
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
	for _, call := range []string{"GET /health", "GET /users/1", "GET /users", "DELETE /users/1"} {
		method, path, _ := strings.Cut(call, " ")
		unavailable(t, c.want(t, http.StatusServiceUnavailable, method, path, ""))
	}
	unavailable(t, c.want(t, http.StatusServiceUnavailable, "POST", "/users", input("Ada", c.email())))
	c.want(t, http.StatusOK, "GET", "/", "")
	c.want(t, http.StatusOK, "GET", "/metrics", "")
	if err := d.stopped(t); err != nil {
		t.Error(err)
	}
}

// lateFill holds back what a reader puts into the cache until the user has
// been changed, and the cache has forgotten that, too.
func (s *site) lateFill(t *testing.T) {
	first, second := s.at(s.first), s.at(s.second)
	user := first.create(t, "Ada")
	if !first.hits(t, user) { // and the script is known
		t.Fatal("the user is not cached")
	}
	user, _ = first.wantUser(t, http.StatusOK, "PUT", path(user), input("Before", user.Email))
	late := s.proxy.hold()
	for waiting := true; waiting; { // a cache that was too slow to look into is not filled
		first.wantUser(t, http.StatusOK, "GET", path(user), "")
		select {
		case <-late.came:
			waiting = false
		case <-t.Context().Done():
			t.FailNow()
		default:
		}
	}
	user, _ = second.wantUser(t, http.StatusOK, "PUT", path(user), input("After", user.Email))
	s.cache.must(t, "flushdb")
	close(late.release)
	<-late.done
	for _, c := range []*client{first, second} {
		if read, a := c.wantUser(t, http.StatusOK, "GET", path(user), ""); read != user {
			t.Errorf("read %+v (X-Cache: %s) after a change to %+v", read, a.header.Get("X-Cache"), user)
		}
	}
}

// cutOff changes a user where the cache cannot be told, and reads it where the
// cache still holds what was before.
func (s *site) cutOff(t *testing.T) {
	first, second := s.at(s.first), s.at(s.second)
	user := second.create(t, "Ada")
	for round := range 3 {
		if !second.hits(t, user) {
			t.Fatal("the user is not cached")
		}
		s.proxy.cut(true)
		user, _ = first.wantUser(t, http.StatusOK, "PUT", path(user), input(fmt.Sprintf("Ada %d", round), user.Email))
		if read, a := second.wantUser(t, http.StatusOK, "GET", path(user), ""); read != user {
			t.Errorf("read %+v (X-Cache: %s) after a change to %+v", read, a.header.Get("X-Cache"), user)
		}
		s.proxy.cut(false)
	}
}

// past has the cache come back with what was true before a change that it was
// not told of.
func (s *site) past(t *testing.T) {
	user := s.create(t, "Before")
	if !s.hits(t, user) {
		t.Fatal("the user is not cached")
	}
	s.cache.must(t, "save")
	s.cache.end(t, syscall.SIGKILL)
	began := time.Now()
	user, _ = s.wantUser(t, http.StatusOK, "PUT", path(user), input("Meanwhile", user.Email))
	if took := time.Since(began); took < 500*time.Millisecond {
		t.Errorf("a change that the cache was not told of was acknowledged after %v, while others may trust the old epoch", took)
	}
	if read, a := s.wantUser(t, http.StatusOK, "GET", path(user), ""); read != user || a.header.Get("X-Cache") != "bypass" {
		t.Errorf("read %+v with X-Cache %q; want %+v and bypass", read, a.header.Get("X-Cache"), user)
	}
	s.cache.start(t)
	if len(s.cache.keys(t)) == 0 {
		t.Fatal("the cache came back empty, so that nothing is tested")
	}
	if !s.hits(t, user) { // and all it answers on the way is right
		t.Error("the cache is not used again")
	}
}

func (s *site) cacheStorms() []Storm {
	const while = 150 * time.Millisecond // of changes
	return []Storm{
		{Name: "Redis is killed, and restarts with the past", Disturb: func(t *testing.T) {
			s.cache.must(t, "save")
			time.Sleep(while)
			s.cache.end(t, syscall.SIGKILL)
			s.cache.start(t)
			time.Sleep(while)
			s.cache.end(t, syscall.SIGKILL)
			time.Sleep(2 * while)
			s.cache.start(t)
		}},
		{Name: "Redis is frozen, cut off, emptied, and filled with rubbish", Disturb: func(t *testing.T) {
			s.cache.signal(syscall.SIGSTOP)
			time.Sleep(2 * while)
			s.cache.signal(syscall.SIGCONT)
			time.Sleep(while)
			s.proxy.cut(true)
			time.Sleep(while)
			s.proxy.cut(false)
			time.Sleep(while)
			s.cache.must(t, "flushall")
			s.rubbish(t)
			s.cache.must(t, "flushall")
		}},
	}
}

// rubbish puts things into the cache that are no entries of that user.
func (s *site) rubbish(t *testing.T) {
	for n := range 50 {
		for _, key := range s.cache.keys(t) {
			switch n % 5 {
			case 0:
				s.cache.must(t, "set", key, "rubbish")
			case 1:
				s.cache.must(t, "set", key, `{"epoch":"","life":"","user":{"id":1,"name":"Mallory"}}`)
			case 2:
				s.cache.must(t, "eval", "redis.call('DEL', KEYS[1]) return redis.call('HSET', KEYS[1], 'a', 'b')", 1, key)
			case 3:
				s.cache.must(t, "set", key, "null")
			case 4:
				s.cache.must(t, "eval", "redis.call('DEL', KEYS[1], KEYS[2]) return redis.call('SET', KEYS[1], 'x')", 2, key, "lease:"+strings.TrimPrefix(key, "user:"))
			}
		}
		if keys := s.cache.keys(t); len(keys) > 1 {
			_ = s.cache.admin.Copy(t.Context(), keys[0], keys[1], 0, true).Err() // one user's entry for another; it may be gone by now
		}
	}
}

// events reads all events since the first request: one for each change that
// was made, in order. Then the process that publishes is killed.
func (s *site) events(t *testing.T, k *topic) {
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	user, _ := s.wantUser(t, http.StatusCreated, "POST", "/users", input("Ada", s.email()), "traceparent", parent, "X-Request-Id", "event-1")
	user, _ = s.wantUser(t, http.StatusOK, "PUT", path(user), input("Eve", user.Email))
	s.want(t, http.StatusNoContent, "DELETE", path(user), "")
	k.await(t, "three events", func() bool { return len(k.byUser[user.ID]) == 3 })
	if t.Failed() {
		return
	}
	created, updated, deleted := k.byUser[user.ID][0], k.byUser[user.ID][1], k.byUser[user.ID][2]
	if created.RequestID != "event-1" || created.headers["traceparent"][:35] != parent[:35] || created.User.Name != "Ada" {
		t.Errorf("created: %+v; want the request event-1 and the trace of %s", created, parent)
	}
	if updated.User != user || deleted.User != user {
		t.Errorf("updated: %+v, deleted: %+v; want %+v", updated, deleted, user)
	}
	s.waits(t, 0)

	s.first.end(t, syscall.SIGKILL)
	second := s.at(s.second)
	last := second.create(t, "Ada")
	last, _ = second.wantUser(t, http.StatusOK, "PUT", path(last), input("Eve", last.Email))
	k.await(t, "events of the dyno that is left", func() bool { return len(k.byUser[last.ID]) == 2 })
	for id, events := range k.byUser {
		if e := events[len(events)-1]; e.Type != "user.deleted" && s.gone(t, id) {
			t.Errorf("user %d is gone, and its last event is %+v", id, e)
		}
	}
	t.Logf("events of %d users, %d of them twice", len(k.byUser), k.twice)
}

// gone asks the truth.
func (s *site) gone(t *testing.T, id int64) (gone bool) {
	if err := s.database.connect(t).QueryRow(t.Context(), `SELECT NOT EXISTS (SELECT FROM users WHERE id = $1)`, id).Scan(&gone); err != nil {
		t.Fatal(err)
	}
	return gone
}

// waits waits until so many events wait.
func (s *site) waits(t *testing.T, want int64) {
	t.Helper()
	conn := s.database.connect(t)
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		var n int64
		if err := conn.QueryRow(t.Context(), `SELECT count(*) FROM outbox`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		if n == want {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d events wait, want %d", n, want)
		}
	}
}

// logs reads the log as a machine would.
func (s *site) logs(t *testing.T) {
	second := s.at(s.second)
	user := second.create(t, "Ada")
	a := second.want(t, http.StatusOK, "GET", path(user)+"?token=hidden", "", "X-Request-Id", "log-1", "traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	if got := a.header.Get("X-Request-Id"); got != "log-1" {
		t.Errorf("the answer has X-Request-Id %q", got)
	}
	second.want(t, http.StatusOK, "GET", path(user), "", "X-Request-Id", "log 2\"", "traceparent", "00-00000000000000000000000000000000-00f067aa0ba902b7-01")
	type line struct {
		Time, Level, Msg, Method, Path, Route, Cache string
		RequestID                                    string `json:"request_id"`
		TraceID                                      string `json:"trace_id"`
		Status                                       int
		MS                                           *float64
	}
	var of, next *line
	find := func() {
		of, next = nil, nil
		for text := range strings.Lines(s.second.log.String()) {
			var l line
			if json.Unmarshal([]byte(text), &l) != nil || l.Msg != "request" {
				continue
			}
			if of != nil && next == nil && l.Path == path(user) {
				next = &l
			}
			if l.RequestID == "log-1" {
				of = &l
			}
		}
	}
	for deadline := time.Now().Add(5 * time.Second); next == nil && time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		find()
	}
	switch {
	case next == nil:
		t.Fatalf("the requests are not in the log:\n%s", tail(s.second.log.String()))
	case of.TraceID != "4bf92f3577b34da6a3ce929d0e0e4736" || of.Method != "GET" || of.Path != path(user) || of.Route != "/users/{id}" ||
		of.Status != 200 || of.MS == nil || of.Cache == "" || of.Level == "" || of.Time == "":
		t.Errorf("a request is logged as %+v", *of)
	case next.RequestID == "" || strings.Contains(next.RequestID, " ") || len(next.TraceID) != 32 || strings.Trim(next.TraceID, "0") == "":
		t.Errorf("a request without ids that can be used is logged as %+v", *next)
	}
	for _, d := range []*dyno{s.first, s.second} {
		for _, secret := range []string{writerSecret, readerSecret, "BEGIN PRIVATE KEY", "hidden"} {
			if strings.Contains(d.log.String(), secret) {
				t.Errorf("the log shows %s", secret)
			}
		}
	}
}

// tail is the end of a log.
func tail(text string) string { return text[max(0, len(text)-4000):] }

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
	if err := s.second.stopped(t); err != nil {
		t.Error(err)
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
