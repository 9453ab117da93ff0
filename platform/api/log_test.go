package api

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// session opens a log session and returns its URL.
func (s *site) session(app string, body map[string]any) string {
	s.t.Helper()
	return s.do("POST", "/apps/"+app+"/log-sessions", body).want(201).text("logplex_url")
}

const sse = "text/event-stream"

func TestALogIsReadAsTheOfficialClientReadsIt(t *testing.T) {
	t.Parallel()
	s := open(t)
	id := s.app("garden").text("id")
	for i := range 3 {
		s.logs.Log(id, "app", "web.1", fmt.Sprintf("line %d", i))
	}
	s.logs.Log(id, "heroku", "router", "at=info")
	got := s.send("GET", s.session("garden", map[string]any{"lines": 2, "tail": false, "source": "app", "dyno": "web"}), nil, "Accept", sse).want(200)
	stamp := regexp.MustCompile(`\d{4}-\d\d-\d\dT[\d:.+]+ `)
	text := stamp.ReplaceAllString(string(got.body), "")
	text = regexp.MustCompile(`id: \d+`).ReplaceAllString(text, "id: N")
	want := "retry: 1\n\nid: N\ndata: app[web.1]: line 1\n\nid: N\ndata: app[web.1]: line 2\n\n"
	if diff := cmp.Diff(want, text); diff != "" || got.header.Get("Content-Type") != sse {
		t.Errorf("%v: %s", got.header, diff)
	}
	plain := s.send("GET", s.session("garden", map[string]any{"type": "router"}), nil).want(200)
	if got := stamp.ReplaceAllString(string(plain.body), ""); got != "heroku[router]: at=info\n" {
		t.Errorf("plain: %q", got)
	}
	url := s.session("garden", nil)
	s.send("GET", strings.Replace(url, "lines=100", "lines=1500", 1), nil).fails(404, map[string]any{"id": "not_found"})
	s.do("DELETE", "/apps/garden", nil).want(200)
	s.send("GET", url, nil).fails(404, map[string]any{"resource": "app"})
}

// follow reads the data lines of an event stream.
type follower struct {
	t    *testing.T
	body io.ReadCloser
	in   *bufio.Scanner
	id   string // of the last event
}

func (s *site) follow(url string, headers ...string) *follower {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), "GET", url, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Accept", sse)
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { resp.Body.Close() })
	if resp.StatusCode != 200 {
		s.t.Fatalf("following: %s", resp.Status)
	}
	return &follower{t: s.t, body: resp.Body, in: bufio.NewScanner(resp.Body)}
}

// next is the next event's data, or empty at the end of the stream.
func (f *follower) next() string {
	f.t.Helper()
	watchdog := time.AfterFunc(20*time.Second, func() { f.body.Close() })
	defer watchdog.Stop()
	for f.in.Scan() {
		if id, ok := strings.CutPrefix(f.in.Text(), "id: "); ok {
			f.id = id
		}
		if data, ok := strings.CutPrefix(f.in.Text(), "data: "); ok {
			return data
		}
	}
	return ""
}

func TestATailGoesOnAndResumes(t *testing.T) {
	t.Parallel()
	s := open(t)
	id := s.app("garden").text("id")
	url := s.session("garden", map[string]any{"tail": true, "lines": 1, "dyno": "web.1"})
	s.logs.Log(id, "app", "web.1", "before")
	s.logs.Log(id, "app", "web.1", "backlog")
	first := s.follow(url)
	for i, want := range []string{"backlog", "one", "two"} {
		if i > 0 {
			s.logs.Log(id, "app", "web.1", want)
		}
		if got := first.next(); !strings.HasSuffix(got, "app[web.1]: "+want) {
			t.Fatalf("got %q, want %s", got, want)
		}
	}
	first.body.Close()
	s.logs.Log(id, "app", "web.1", "meanwhile")
	again := s.follow(url, "Last-Event-ID", first.id)
	if got := again.next(); !strings.HasSuffix(got, "meanwhile") {
		t.Errorf("resumed with %q", got)
	}
	s.do("DELETE", "/apps/garden", nil).want(200)
	if got := again.next(); strings.Contains(got, "web.1") {
		t.Errorf("after the end of the app: %q", got)
	}
}

func TestShutdownEndsStreamsAndLogins(t *testing.T) {
	t.Parallel()
	s := open(t)
	s.app("garden")
	tail := s.follow(s.session("garden", map[string]any{"tail": true}))
	begun := s.send("POST", "/auth", map[string]any{}).want(201)
	waiting := make(chan answer, 1)
	go func() {
		waiting <- s.send("GET", begun.text("cli_url"), nil, "Authorization", "Bearer "+begun.text("token"))
	}()
	for tail.next() == "" { // it has begun
	}
	s.api.endStreams() // what Shutdown, which follows, does first
	for tail.next() != "" {
	}
	if got := <-waiting; got.status != 200 || got.text("error") == "" {
		t.Errorf("the login that waited: %d %s", got.status, got.body)
	}
}
