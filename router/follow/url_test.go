package follow

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/uuid"
)

// startAPI is an API that has routers which know the token follow.
func startAPI(t *testing.T, p *platform) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer secret" || r.Header.Get("Upgrade") != Protocol || r.URL.Path != Path {
			http.Error(w, "Invalid credentials provided.", http.StatusUnauthorized)
			return
		}
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", Protocol)
		p.Take(conn)
		conn.Close()
	}))
	t.Cleanup(s.Close)
	return s
}

func followURL(t *testing.T, base, token string, drain func(context.Context, []string) error) *router {
	t.Helper()
	dial, err := URL(base, token, nil)
	if err != nil {
		t.Fatal(err)
	}
	return startFollower(t, &router{live: table("from disk"), said: &said{}}, FollowerConfig{
		Dial: dial, Router: Router{ID: uuid.NewString()}, Drain: drain})
}

func TestARouterFollowsByURLAndDrainsWhileItIsConnected(t *testing.T) {
	t.Parallel()
	p := startPlatform(t, data(t), "first")
	api := startAPI(t, p)
	drained := make(chan string, 1)
	far := followURL(t, api.URL, "secret", func(_ context.Context, addrs []string) error {
		drained <- strings.Join(addrs, " ")
		return nil
	})
	far.uses(t, "first")
	p.live.Set(entry("second"))
	far.uses(t, "second")
	far.LogLine("1", []byte("served"))
	if l := p.line(t); l.Text != "served" {
		t.Errorf("the line %v came", l)
	}
	ctx, cancel := within(patience)
	defer cancel()
	if err := p.Drain(ctx, []string{"first"}); err != nil {
		t.Errorf("Drain: %v", err)
	}
	select {
	case addrs := <-drained:
		if addrs != "first" {
			t.Errorf("it drained %s", addrs)
		}
	default:
		t.Error("it was not drained")
	}
	far.stop()
	if err := p.Drain(ctx, []string{"first"}); err != nil {
		t.Errorf("without it, Drain: %v", err)
	}
	if got := leads(far.live); got != "second" {
		t.Errorf("what it was last told leads to %q", got)
	}
}

func TestARouterThatMayNotFollowSaysSoAndGoesOn(t *testing.T) {
	t.Parallel()
	api := startAPI(t, startPlatform(t, data(t), "first"))
	far := followURL(t, api.URL, "wrong", nil)
	<-far.Ready()
	eventually(t, "it says so", func() bool { return strings.Contains(far.said.String(), "401") })
	if got := leads(far.live); got != "from disk" {
		t.Errorf("its table leads to %q", got)
	}
	if strings.Contains(far.said.String(), "wrong") {
		t.Errorf("it said the token:\n%s", far.said)
	}
}

func TestATokenGoesInTheClearToThisMachineOnly(t *testing.T) {
	for base, want := range map[string]bool{
		"http://localhost:5100": true, "http://127.0.0.1": true, "http://[::1]:5100": true, "https://niwa.example.com": true,
		"http://niwa.example.com:5100": false, "http://127.0.0.1.example.com": false, "https://a:b@niwa.example.com": false,
		"niwa.example.com:5100": false, "": false, "ftp://localhost": false,
	} {
		if _, err := URL(base, "secret", nil); (err == nil) != want {
			t.Errorf("%q: %v", base, err)
		}
	}
	if _, err := URL("http://localhost:5100", "", nil); err == nil || !strings.Contains(err.Error(), "HEROKU_API_KEY") {
		t.Errorf("without a token: %v", err)
	}
}

func TestARouterThatCameBackIsToldWhatChangedAlone(t *testing.T) {
	t.Parallel()
	dir := data(t)
	p := startPlatform(t, dir, "first")
	record := register(t, dir)
	defer record.Close()
	heard := func(has mark) (parts int, at mark) {
		c := dial(t, dir)
		defer c.Close()
		c.say(t, report{Hello: &hello{record.Router, has}})
		for {
			o := c.hear(t)
			if o.News != nil {
				return parts, o.News.At
			}
			parts++
		}
	}
	parts, at := heard(mark{})
	if parts == 0 {
		t.Error("who is new is not told the whole table")
	}
	p.live.Set(entry("second"))
	if parts, now := heard(at); parts != 0 || now.Number != at.Number+1 {
		t.Errorf("who missed a change is told %d parts, and is at %v after %v", parts, now, at)
	}
	if parts, _ := heard(mark{"another life", at.Number}); parts == 0 {
		t.Error("who knows another platform's table is not told this one's")
	}
	for i := range 70_000 {
		p.live.Set(entry(fmt.Sprint(i)))
	}
	if parts, _ := heard(at); parts == 0 {
		t.Error("who missed too much is not told the whole table")
	}
}
