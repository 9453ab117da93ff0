package router

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"niwa/router/route"
)

// patience is how long a test waits for what must come.
const patience = 10 * time.Second

const testID = "11111111-2222-4333-8444-555555555555"

// harness is a router on a real port, and what it logged.
type harness struct {
	*Router
	live *route.Table
	addr string
	logs chan string
}

// start serves one app at app.test.
func start(t testing.TB, app route.App, timeouts Timeouts) *harness {
	t.Helper()
	return startWith(t, app, Config{Timeouts: timeouts})
}

func startTLS(t testing.TB, app route.App, timeouts Timeouts, config *tls.Config) *harness {
	t.Helper()
	return startWith(t, app, Config{Timeouts: timeouts, TLS: config})
}

// startWith fills in the routes and the log.
func startWith(t testing.TB, app route.App, config Config) *harness {
	t.Helper()
	live, err := route.Open(filepath.Join(t.TempDir(), "routes.log"))
	if err != nil {
		t.Fatal(err)
	}
	h := &harness{live: live, logs: make(chan string, 100_000)}
	h.swap(t, app)
	config.Routes = live
	config.Log = func(id string, line []byte) {
		if id != "id-of-app" {
			line = []byte("logged to " + id)
		}
		h.logs <- string(line)
	}
	h.Router = New(config)
	ln := listen(t)
	h.addr = ln.Addr().String()
	served := make(chan error, 1)
	go func() {
		if config.TLS != nil {
			served <- h.ServeTLS(ln)
		} else {
			served <- h.Serve(ln)
		}
	}()
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		h.Shutdown(ctx)
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return h
}

// certified is a server whose certificate, for example.com, and whose client,
// which trusts it, a test may borrow.
func certified(t testing.TB) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(nil)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

func (h *harness) swap(t testing.TB, app route.App) {
	t.Helper()
	app.ID, app.Name = "id-of-app", "app"
	if err := h.live.Replace(route.Entry{Hosts: []string{"app.test"}, App: app}); err != nil {
		t.Fatal(err)
	}
}

// line is the next log line, with its milliseconds as N.
func (h *harness) line(t testing.TB) string {
	t.Helper()
	select {
	case l := <-h.logs:
		return regexp.MustCompile(`=\d+ms`).ReplaceAllString(l, "=Nms")
	case <-time.After(patience):
		t.Fatal("no log line came")
		return ""
	}
}

// dial connects a client whose every wait is bounded.
func (h *harness) dial(t testing.TB) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", h.addr)
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(patience))
	t.Cleanup(func() { c.Close() })
	return c
}

// ask sends a request as it is and reads one answer and its body. A body that
// is cut comes back as far as it got, with the error.
func (h *harness) ask(t testing.TB, request string) (*http.Response, string, error) {
	t.Helper()
	c := h.dial(t)
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	return answerOn(bufio.NewReader(c))
}

func answerOn(in *bufio.Reader) (*http.Response, string, error) {
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		return nil, "", err
	}
	body, err := io.ReadAll(resp.Body)
	return resp, string(body), err
}

// get is a plain request with a fixed id.
func get(path string, more ...string) string {
	return "GET " + path + " HTTP/1.1\r\nHost: app.test\r\nX-Request-Id: " + testID + "\r\n" +
		strings.Join(append(more, ""), "\r\n") + "\r\n"
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

// rawDyno is a dyno that does to each connection what serve does. The
// connection is closed after it.
func rawDyno(t testing.TB, serve func(c net.Conn, in *bufio.Reader)) route.Dyno {
	t.Helper()
	ln := listen(t)
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				c.SetDeadline(time.Now().Add(patience))
				serve(c, bufio.NewReader(c))
			}()
		}
	}()
	return route.Dyno{Name: "web.1", Addr: ln.Addr().String()}
}

// says is a dyno that reads a request's head and then says exactly that.
func says(t testing.TB, answer string) route.Dyno {
	t.Helper()
	return rawDyno(t, func(c net.Conn, in *bufio.Reader) {
		readHead(in)
		io.WriteString(c, answer)
	})
}

// saysAndWaits is says, but the connection stays open until the router closes it.
func saysAndWaits(t testing.TB, answer string) route.Dyno {
	t.Helper()
	return rawDyno(t, func(c net.Conn, in *bufio.Reader) {
		readHead(in)
		io.WriteString(c, answer)
		io.Copy(io.Discard, in)
	})
}

// readHead reads up to the empty line, and returns it all.
func readHead(in *bufio.Reader) string {
	var b bytes.Buffer
	for {
		l, err := in.ReadString('\n')
		b.WriteString(l)
		if err != nil || l == "\r\n" {
			return b.String()
		}
	}
}

// httpDyno is a well-behaved dyno.
func httpDyno(t testing.TB, serve http.HandlerFunc) route.Dyno {
	t.Helper()
	s := httptest.NewServer(serve)
	t.Cleanup(s.Close)
	return route.Dyno{Name: "web.1", Addr: s.Listener.Addr().String()}
}

// refusing is a dyno at a port where nothing listens.
func refusing(t testing.TB) route.Dyno {
	t.Helper()
	ln := listen(t)
	defer ln.Close()
	return route.Dyno{Name: "web.1", Addr: ln.Addr().String()}
}

func serving(dynos ...route.Dyno) route.App {
	for i := range dynos {
		dynos[i].Name = fmt.Sprintf("web.%d", i+1)
	}
	return route.App{State: route.Serving, Dynos: dynos}
}

// wait fails the test unless done is closed in time.
func wait(t testing.TB, done <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatalf("timed out waiting until %s", what)
	}
}
