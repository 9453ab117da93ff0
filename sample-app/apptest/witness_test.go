package apptest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
)

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
	s.withoutBroker(t, k)

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

// withoutBroker stops the broker, which no request feels, and starts it again.
func (s *site) withoutBroker(t *testing.T, k *topic) {
	s.broker.stop()
	second := s.at(s.second)
	user := second.create(t, "Ada")
	for round := range 5 {
		began := time.Now()
		user, _ = second.wantUser(t, http.StatusOK, "PUT", path(user), input(fmt.Sprintf("Ada %d", round), user.Email))
		if took := time.Since(began); took > time.Second {
			t.Errorf("without a broker a change takes %v", took)
		}
	}
	s.broker.start(t)
	k.await(t, "events of changes without a broker", func() bool { return len(k.byUser[user.ID]) == 6 })
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
