package router

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"niwa/router/route"
)

const (
	request  = `method=GET path="/" host=app.test request_id=` + testID + ` fwd=127.0.0.1`
	protocol = ` protocol=http1.1 tls=false`
	nobody   = ` dyno= connect= service= status=`
	webOne   = ` dyno=web.1 connect=Nms service=Nms status=`
)

func TestEveryWayARequestFailsHasItsCode(t *testing.T) {
	const soon = 100 * time.Millisecond
	for name, c := range map[string]struct {
		app      func(t *testing.T) route.App
		timeouts Timeouts
		status   int    // what the client gets; 0 is nothing at all
		cut      bool   // the client's answer breaks off
		line     string // what is logged
	}{
		"an app that crashed is H10": {
			app:    state(route.Crashed),
			status: 503,
			line:   `at=error code=H10 desc="App crashed" ` + request + nobody + `503 bytes=` + protocol,
		},
		"a dyno that takes the request and does not answer is H12": {
			app:      dyno(saysAndWaits, ""),
			timeouts: Timeouts{FirstByte: soon},
			status:   503,
			line:     `at=error code=H12 desc="Request timeout" ` + request + webOne + `503 bytes=0` + protocol,
		},
		"a dyno that closes without a word is H13": {
			app:    dyno(says, ""),
			status: 503,
			line:   `at=error code=H13 desc="Connection closed without response" ` + request + webOne + `503 bytes=0` + protocol,
		},
		"an app scaled to zero is H14": {
			app:    state(route.NoDynos),
			status: 503,
			line:   `at=error code=H14 desc="No web processes running" ` + request + nobody + `503 bytes=` + protocol,
		},
		"a dyno that falls silent within its body is H15": {
			app:      dyno(saysAndWaits, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345"),
			timeouts: Timeouts{Idle: soon},
			status:   200, cut: true,
			line: `at=error code=H15 desc="Idle connection" ` + request + webOne + `503 bytes=44` + protocol,
		},
		"a dyno that falls silent within its header is H15": {
			app:      dyno(saysAndWaits, "HTTP/1.1 200 OK\r\n"),
			timeouts: Timeouts{Idle: soon},
			status:   503,
			line:     `at=error code=H15 desc="Idle connection" ` + request + webOne + `503 bytes=0` + protocol,
		},
		"a dyno that does not speak HTTP is H17": {
			app:    dyno(saysAndWaits, "SSH-2.0-OpenSSH_9.2\r\n"),
			status: 503,
			line:   `at=error code=H17 desc="Poorly formatted HTTP response" ` + request + webOne + `503 bytes=0` + protocol,
		},
		"a status that is no number is H17": {
			app:    dyno(saysAndWaits, "HTTP/1.1 2x0 OK\r\n\r\n"),
			status: 503,
			line:   `at=error code=H17 desc="Poorly formatted HTTP response" ` + request + webOne + `503 bytes=0` + protocol,
		},
		"a status below 100 is H17": {
			app:    dyno(saysAndWaits, "HTTP/1.1 099 OK\r\n\r\n"),
			status: 503,
			line:   `at=error code=H17 desc="Poorly formatted HTTP response" ` + request + webOne + `503 bytes=0` + protocol,
		},
		"a switch of protocols that nobody asked for is H17": {
			app:    dyno(saysAndWaits, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"),
			status: 503,
			line:   `at=error code=H17 desc="Poorly formatted HTTP response" ` + request + webOne + `503 bytes=0` + protocol,
		},
		"endless 100 Continue is H17": {
			app:    dyno(saysAndWaits, strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", maxInformational)),
			status: 100,
			line:   `at=error code=H17 desc="Poorly formatted HTTP response" ` + request + webOne + `503 bytes=0` + protocol,
		},
		"a dyno that dies within its status line is H18": {
			app:    dyno(says, "HTTP/1.1 20"),
			status: 503,
			line:   `sock=backend at=error code=H18 desc="Server Request Interrupted" ` + request + webOne + `503 bytes=0` + protocol,
		},
		"a dyno that dies within its body is H18": {
			app:    dyno(says, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345"),
			status: 200, cut: true,
			line: `sock=backend at=error code=H18 desc="Server Request Interrupted" ` + request + webOne + `503 bytes=44` + protocol,
		},
		"a chunk that is none is H18, after the status": {
			app:    dyno(saysAndWaits, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nXX\r\n"),
			status: 200, cut: true,
			line: `sock=backend at=error code=H18 desc="Server Request Interrupted" ` + request + webOne + `503 bytes=61` + protocol,
		},
		"a dyno that takes no connection in time is H19": {
			app:      func(t *testing.T) route.App { return serving(unreachable(t)) },
			timeouts: Timeouts{Connect: soon},
			status:   503,
			line:     `at=error code=H19 desc="Backend connection timeout" ` + request + ` dyno=web.1 connect=Nms service= status=503 bytes=` + protocol,
		},
		"an app that does not come up in time is H20": {
			app:      state(route.Starting),
			timeouts: Timeouts{Queue: soon},
			status:   503,
			line:     `at=error code=H20 desc="App boot timeout" ` + request + nobody + `503 bytes=` + protocol,
		},
		"a dyno that refuses the connection is H21": {
			app:    func(t *testing.T) route.App { return serving(refusing(t)) },
			status: 503,
			line:   `at=error code=H21 desc="Backend connection refused" ` + request + ` dyno=web.1 connect=Nms service= status=503 bytes=` + protocol,
		},
		"a header without end is H25": {
			app:    dyno(saysAndWaits, "HTTP/1.1 200 OK\r\nX: "+strings.Repeat("a", 1<<20)),
			status: 502,
			line:   `at=error code=H25 desc="HTTP restriction: oversized header" ` + request + webOne + `502 bytes=0` + protocol,
		},
		"maintenance mode is H80": {
			app:    state(route.Maintenance),
			status: 503,
			line:   `at=info code=H80 desc="Maintenance mode" ` + request + nobody + `503 bytes=` + protocol,
		},
		"an app that nothing was deployed to is H81": {
			app:    state(route.Blank),
			status: 502,
			line:   `at=info code=H81 desc="Blank app" ` + request + nobody + `502 bytes=` + protocol,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := start(t, c.app(t), c.timeouts)
			resp, body, err := h.ask(t, get("/"))
			if resp == nil || resp.StatusCode != c.status || (err != nil) != c.cut {
				t.Fatalf("got %+v with error %v, want %d (cut: %v)", resp, err, c.status, c.cut)
			}
			if resp.StatusCode > 500 && (!strings.Contains(body, "<!DOCTYPE html>") || resp.Header.Get("Cache-Control") != "no-cache, no-store") {
				t.Errorf("not the router's page: %v\n%s", resp.Header, body)
			}
			if got := h.line(t); got != c.line {
				t.Errorf("logged\n%s\nwant\n%s", got, c.line)
			}
		})
	}
}

func state(s route.State) func(*testing.T) route.App {
	return func(*testing.T) route.App { return route.App{State: s} }
}

func dyno(how func(testing.TB, string) route.Dyno, answer string) func(*testing.T) route.App {
	return func(t *testing.T) route.App { return serving(how(t, answer)) }
}

func TestMoreThan200RequestsPerDynoAreH11(t *testing.T) {
	t.Parallel()
	arrived, release := make(chan struct{}, 200), make(chan struct{})
	h := start(t, serving(httpDyno(t, func(w http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-release
	})), Timeouts{})
	done := make(chan int, 200)
	for range 200 {
		c := h.dial(t)
		go func() {
			io.WriteString(c, get("/"))
			resp, _, err := answerOn(bufio.NewReader(c))
			if err != nil {
				done <- 0
				return
			}
			done <- resp.StatusCode
		}()
	}
	for range 200 {
		select {
		case <-arrived:
		case <-time.After(patience):
			t.Fatal("the dyno did not get 200 requests")
		}
	}
	resp, _, err := h.ask(t, get("/"))
	if err != nil || resp.StatusCode != 503 {
		t.Fatalf("got %v, %v", resp, err)
	}
	want := `at=error code=H11 desc="Backlog too deep" ` + request + nobody + `503 bytes=` + protocol
	if got := h.line(t); got != want {
		t.Errorf("logged\n%s\nwant\n%s", got, want)
	}
	close(release)
	for range 200 {
		if status := <-done; status != 200 {
			t.Errorf("a request within the limit got %d", status)
		}
	}
	if resp, _, err := h.ask(t, get("/")); err != nil || resp.StatusCode != 200 {
		t.Errorf("after the backlog: %v, %v", resp, err)
	}
}

func TestAClientThatLeavesIsH27(t *testing.T) {
	t.Parallel()
	arrived, left := make(chan struct{}), make(chan struct{})
	h := start(t, serving(rawDyno(t, func(c net.Conn, in *bufio.Reader) {
		readHead(in)
		close(arrived)
		io.Copy(io.Discard, in)
		close(left)
	})), Timeouts{})
	c := h.dial(t)
	io.WriteString(c, get("/"))
	wait(t, arrived, "the dyno has the request")
	c.Close()
	want := `sock=client at=warning code=H27 desc="Client Request Interrupted" ` + request + webOne + `499 bytes=0` + protocol
	if got := h.line(t); got != want {
		t.Errorf("logged\n%s\nwant\n%s", got, want)
	}
	wait(t, left, "the dyno's connection is closed")
}

func TestAClientThatLeavesWithinItsBodyIsH27(t *testing.T) {
	t.Parallel()
	h := start(t, serving(saysAndWaits(t, "")), Timeouts{})
	c := h.dial(t)
	io.WriteString(c, "POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 10\r\n\r\n123")
	c.Close()
	if got := h.line(t); !strings.HasPrefix(got, "sock=client at=warning code=H27 ") || !strings.Contains(got, " status=499 ") {
		t.Errorf("logged %s", got)
	}
}

func TestAClientThatStopsUploadingIsH28(t *testing.T) {
	t.Parallel()
	h := start(t, serving(saysAndWaits(t, "")), Timeouts{Idle: 100 * time.Millisecond})
	resp, _, err := h.ask(t, "POST / HTTP/1.1\r\nHost: app.test\r\nX-Request-Id: "+testID+"\r\nContent-Length: 10\r\n\r\n123")
	if err == nil {
		t.Errorf("the client was answered: %v", resp)
	}
	want := strings.Replace(`at=warning code=H28 desc="Client Connection Idle" `+request+webOne+`499 bytes=0`+protocol, "GET", "POST", 1)
	if got := h.line(t); got != want {
		t.Errorf("logged\n%s\nwant\n%s", got, want)
	}
}

func TestAClientThatStopsReadingIsH28(t *testing.T) {
	t.Parallel()
	h := start(t, serving(httpDyno(t, func(w http.ResponseWriter, r *http.Request) {
		piece := make([]byte, 64<<10)
		for range 1000 {
			if _, err := w.Write(piece); err != nil {
				return
			}
		}
	})), Timeouts{Idle: 200 * time.Millisecond})
	io.WriteString(h.dial(t), get("/"))
	if got := h.line(t); !strings.HasPrefix(got, "at=warning code=H28 ") || !strings.Contains(got, " status=499 ") {
		t.Errorf("logged %s", got)
	}
}

func TestARequestCutByShutdownIsH24(t *testing.T) {
	t.Parallel()
	h := start(t, serving(saysAndWaits(t, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345")), Timeouts{})
	c := h.dial(t)
	io.WriteString(c, get("/"))
	if _, err := bufio.NewReader(c).ReadString('5'); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := h.Shutdown(ctx); err == nil {
		t.Error("Shutdown says that everything ended well")
	}
	want := `at=error code=H24 desc="Forced close" ` + request + webOne + ` bytes=44` + protocol
	if got := h.line(t); got != want {
		t.Errorf("logged\n%s\nwant\n%s", got, want)
	}
}

func TestDynosThatAreAllQuarantinedAreH34(t *testing.T) {
	t.Parallel()
	h := start(t, serving(refusing(t)), Timeouts{Queue: 200 * time.Millisecond})
	h.ask(t, get("/"))
	if got := h.line(t); !strings.Contains(got, "code=H21") {
		t.Fatalf("first logged %s", got)
	}
	if resp, _, err := h.ask(t, get("/")); err != nil || resp.StatusCode != 503 {
		t.Fatalf("got %v, %v", resp, err)
	}
	want := `at=error code=H34 desc="All up dynos are quarantined" ` + request + nobody + `503 bytes=` + protocol
	if got := h.line(t); got != want {
		t.Errorf("logged\n%s\nwant\n%s", got, want)
	}
}

func TestAHostWithoutAnAppIsA404WithoutALogLine(t *testing.T) {
	t.Parallel()
	h := start(t, state(route.Crashed)(t), Timeouts{})
	resp, body, err := h.ask(t, "GET / HTTP/1.1\r\nHost: other.test\r\n\r\n")
	if err != nil || resp.StatusCode != 404 || !strings.Contains(body, "No such app") {
		t.Fatalf("got %v, %q, %v", resp, body, err)
	}
	h.ask(t, get("/"))
	if got := h.line(t); !strings.Contains(got, "code=H10") {
		t.Errorf("the first line logged is %s", got)
	}
}

func TestAnAppsOwnPageIsFramed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		app   route.App
		frame string
	}{
		"for an error":                  {route.App{State: route.Crashed, ErrorPageURL: "https://x.test/e?a&b"}, `<iframe src="https://x.test/e?a&amp;b"`},
		"for maintenance":               {route.App{State: route.Maintenance, ErrorPageURL: "https://x.test/e", MaintenancePageURL: "//x.test/m"}, `<iframe src="//x.test/m"`},
		"not when it is a script":       {route.App{State: route.Crashed, ErrorPageURL: "javascript:alert(1)"}, ""},
		"not for a maintenance of ours": {route.App{State: route.Maintenance, ErrorPageURL: "https://x.test/e"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			h := start(t, c.app, Timeouts{})
			_, body, err := h.ask(t, get("/"))
			if err != nil || !strings.Contains(body, c.frame) || (c.frame == "") == strings.Contains(body, "<iframe") {
				t.Errorf("got %q, %v", body, err)
			}
		})
	}
}
