package router

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"niwa/router/route"
)

func TestClientsLeaveFilesToThePlatform(t *testing.T) {
	for files, want := range map[int]int{64: 16, 1024: 384, 20_000: 7500, 400_000: 150_000} {
		if n := clientsOf(files); n != want {
			t.Errorf("of %d files clients have %d", files, n)
		}
	}
	if n := (Limits{}).orDefault().Clients; n < 16 || n > maxClients || n > max(16, openFiles()/2) {
		t.Errorf("there may be %d clients of %d files", n, openFiles())
	}
}

func TestMoreClientsThanThereArePlacesForWait(t *testing.T) {
	t.Parallel()
	crowded := make(chan int, 10)
	h := startWith(t, serving(httpDyno(t, ok)), Config{Limits: Limits{Clients: 2, ClientsPerApp: 2}, Crowded: func(clients int) { crowded <- clients }})
	first, second, third := h.dial(t), h.dial(t), h.dial(t)
	for _, c := range []net.Conn{first, second} {
		io.WriteString(c, get("/"))
		if resp, _, err := answerOn(bufio.NewReader(c)); err != nil || resp.StatusCode != 200 {
			t.Fatalf("got %v, %v", resp, err)
		}
	}
	io.WriteString(third, get("/"))
	third.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	in := bufio.NewReader(third)
	if got, err := in.ReadByte(); err == nil {
		t.Errorf("a third client was served: %q", got)
	}
	first.Close()
	third.SetReadDeadline(time.Now().Add(patience))
	if resp, _, err := answerOn(in); err != nil || resp.StatusCode != 200 {
		t.Errorf("a client that waited got %v, %v", resp, err)
	}
	if n := <-crowded; n != 2 {
		t.Errorf("it is said that %d are too many", n)
	}
}

func TestAPlaceIsLeftByEveryKindOfClient(t *testing.T) {
	t.Parallel()
	certified := certified(t)
	h := startWith(t, serving(httpDyno(t, ok)), Config{Limits: Limits{Clients: 1}, TLS: &tls.Config{Certificates: certified.TLS.Certificates}})
	for range 2 {
		for _, protocol := range []string{"h2", "http/1.1", "none"} {
			if protocol == "none" {
				c := h.dial(t)
				io.WriteString(c, "no TLS")
				io.Copy(io.Discard, c)
				c.Close()
				continue
			}
			transport := &http.Transport{ForceAttemptHTTP2: protocol == "h2", TLSClientConfig: &tls.Config{InsecureSkipVerify: true, NextProtos: []string{protocol}}}
			r, err := http.NewRequest("GET", "https://"+h.addr+"/", nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Host = "app.test"
			resp, err := (&http.Client{Transport: transport, Timeout: patience}).Do(r)
			if err != nil || resp.StatusCode != 200 || (resp.ProtoMajor == 2) != (protocol == "h2") {
				t.Fatalf("%s: got %v, %v", protocol, resp, err)
			}
			resp.Body.Close()
			transport.CloseIdleConnections()
		}
	}
}

func TestConnectionsBeyondAnAppsLimitAreH22(t *testing.T) {
	t.Parallel()
	h := startWith(t, serving(httpDyno(t, ok)), Config{Limits: Limits{ClientsPerApp: 2}})
	other := route.App{ID: "other", State: route.Blank}
	if err := h.live.Replace(route.Entry{Hosts: []string{"app.test"}, App: named(serving(httpDyno(t, ok)))}, route.Entry{Hosts: []string{"other.test"}, App: other}); err != nil {
		t.Fatal(err)
	}
	first, second := h.dial(t), h.dial(t)
	ask := func(c io.ReadWriter, request string) *http.Response {
		t.Helper()
		io.WriteString(c, request)
		resp, _, err := answerOn(bufio.NewReader(c))
		if err != nil {
			t.Fatal(err)
		}
		return resp
	}
	for _, c := range []io.ReadWriter{first, second, first} {
		if resp := ask(c, get("/")); resp.StatusCode != 200 {
			t.Fatalf("got %v", resp)
		}
		h.line(t)
	}
	third := h.dial(t)
	if resp := ask(third, get("/")); resp.StatusCode != 503 || !resp.Close {
		t.Errorf("the third got %v", resp)
	}
	want := `at=error code=H22 desc="Connection limit reached" ` + request + nobody + `503 bytes=` + protocol
	if got := h.line(t); got != want {
		t.Errorf("logged\n%s\nwant\n%s", got, want)
	}
	ask(first, strings.Replace(get("/"), "app.test", "other.test", 1)) // and so it is with that
	if resp := ask(h.dial(t), get("/")); resp.StatusCode != 200 {
		t.Errorf("after one has gone elsewhere: %v", resp)
	}
	second.Close()
	waitFor(t, "one has left", func() bool {
		h.crowd.mu.Lock()
		defer h.crowd.mu.Unlock()
		return h.crowd.size["id-of-app"] == 1
	})
	if resp := ask(h.dial(t), get("/")); resp.StatusCode != 200 {
		t.Errorf("after one has left: %v", resp)
	}
}

// TestABodyMayTrickleUnlessItsAppIsUnderPressure has clients send a byte now and
// then: one alone is served for as long as it likes, and of so many that the app
// has half of the requests that it may have, some are let go.
func TestABodyMayTrickleUnlessItsAppIsUnderPressure(t *testing.T) {
	t.Parallel()
	const idle = 200 * time.Millisecond
	h := start(t, serving(httpDyno(t, ok)), Timeouts{Idle: idle})
	trickle := func(stop <-chan struct{}) (ended bool) {
		c := h.dial(t)
		io.WriteString(c, "POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 100000\r\n\r\n")
		gone := make(chan struct{})
		go func() {
			io.Copy(io.Discard, c)
			close(gone)
		}()
		tick := time.NewTicker(idle / 10)
		defer tick.Stop()
		for {
			select {
			case <-gone:
				return true
			case <-stop:
				return false
			case <-tick.C:
				io.WriteString(c, "x")
			}
		}
	}
	enough := make(chan struct{})
	time.AfterFunc(4*idle, func() { close(enough) })
	if trickle(enough) {
		t.Errorf("one client alone was let go: %s", h.line(t))
	}
	h.line(t)
	stop, left := make(chan struct{}), make(chan bool)
	for range inFlightPerDyno / 2 {
		go func() { left <- trickle(stop) }()
	}
	if !<-left {
		t.Error("none was let go")
	}
	if line := h.line(t); !strings.HasPrefix(line, `at=warning code=H28 desc="Client Connection Idle" method=POST `) {
		t.Errorf("logged %s", line)
	}
	close(stop)
	for range inFlightPerDyno/2 - 1 {
		<-left
	}
}
