package router

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"niwa/router/route"
)

func TestAnEventArrivesBeforeTheAnswerEnds(t *testing.T) {
	t.Parallel()
	seen := make(chan struct{})
	h := start(t, serving(httpDyno(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		http.NewResponseController(w).Flush()
		for range 2 {
			io.WriteString(w, "data: x\n\n")
			http.NewResponseController(w).Flush()
			select {
			case <-seen:
			case <-time.After(patience):
			}
		}
	})), Timeouts{})
	c := h.dial(t)
	io.WriteString(c, get("/"))
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		event := make([]byte, 9)
		if _, err := io.ReadFull(resp.Body, event); err != nil || string(event) != "data: x\n\n" {
			t.Fatalf("got %q, %v", event, err)
		}
		seen <- struct{}{}
	}
}

func TestABodyReachesTheDynoAsItIsSent(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ framing, first, last, want string }{
		"with a length": {"Content-Length: 6", "abc", "def", "Content-Length: 6"},
		"in chunks, with a trailer": {"Transfer-Encoding: chunked\r\nTrailer: X-Sum", "3\r\nabc\r\n", "3\r\ndef\r\n0\r\nX-Sum: 6\r\n\r\n",
			"Transfer-Encoding: chunked"},
		"in chunks, whatever length is said, and the connection ends": {"Content-Length: 99\r\nTransfer-Encoding: chunked", "3\r\nabc\r\n", "3\r\ndef\r\n0\r\n\r\n",
			"Transfer-Encoding: chunked"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			half := make(chan string, 1)
			d := rawDyno(t, func(c net.Conn, in *bufio.Reader) {
				head := readHead(in)
				first := make([]byte, len(c2(head)))
				io.ReadFull(in, first)
				half <- head + string(first)
				var rest string
				for !strings.HasSuffix(rest, end(head)) {
					b, err := in.ReadByte()
					if err != nil {
						return
					}
					rest += string(b)
				}
				io.WriteString(c, fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(rest), rest))
			})
			h := start(t, serving(d), Timeouts{})
			client := h.dial(t)
			io.WriteString(client, "POST / HTTP/1.1\r\nHost: app.test\r\n"+c.framing+"\r\n\r\n"+c.first)
			got := <-half
			if !strings.Contains(got, c.want+"\r\n") || strings.Contains(got, "Length: 99") || !strings.HasSuffix(got, c.first) {
				t.Fatalf("the dyno first got %q", got)
			}
			io.WriteString(client, c.last)
			if resp, body, err := answerOn(bufio.NewReader(client)); err != nil || body != c.last || resp.Close != strings.Contains(c.framing, "99") {
				t.Errorf("then the dyno got %q (close %v), %v", body, resp.Close, err)
			}
		})
	}
}

// c2 is the first piece of the body as the dyno sees it, end the last bytes.
func c2(head string) string {
	if strings.Contains(head, "chunked") {
		return "3\r\nabc\r\n"
	}
	return "abc"
}

func end(head string) string {
	switch {
	case strings.Contains(head, "X-Sum"):
		return "X-Sum: 6\r\n\r\n"
	case strings.Contains(head, "chunked"):
		return "0\r\n\r\n"
	}
	return "def"
}

func TestTheRouterItselfSaysContinue(t *testing.T) {
	t.Parallel()
	h := start(t, serving(httpDyno(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %q", body, r.Header.Values("Expect"))
	})), Timeouts{})
	c := h.dial(t)
	in := bufio.NewReader(c)
	io.WriteString(c, "POST / HTTP/1.1\r\nHost: app.test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
	if got := readHead(in); got != "HTTP/1.1 100 Continue\r\n\r\n" {
		t.Fatalf("got %q", got)
	}
	io.WriteString(c, "hello")
	if resp, body, err := answerOn(in); err != nil || resp.StatusCode != 200 || body != "hello []" {
		t.Errorf("got %v, %q, %v", resp, body, err)
	}
}

func TestAnAnswerBeforeTheEndOfTheUploadIsDelivered(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"with a length": "HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig",
		"in chunks":     "HTTP/1.1 413 Too Large\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nbig\r\n0\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := start(t, serving(says(t, answer)), Timeouts{})
			c := h.dial(t)
			go func() { // until the router closes
				io.WriteString(c, "POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 1000000000\r\n\r\n")
				for piece := make([]byte, 32<<10); ; {
					if _, err := c.Write(piece); err != nil {
						return
					}
				}
			}()
			resp, body, err := answerOn(bufio.NewReader(c))
			if err != nil || resp.StatusCode != 413 || body != "big" || !resp.Close {
				t.Fatalf("got %v, %q, %v", resp, body, err)
			}
			if got := h.line(t); !strings.HasPrefix(got, "at=info method=POST") || !strings.Contains(got, " status=413 ") {
				t.Errorf("logged %s", got)
			}
		})
	}
}

func TestABodyThatBreaksItsChunksIsA400(t *testing.T) {
	t.Parallel()
	h := start(t, serving(saysAndWaits(t, "")), Timeouts{})
	resp, _, err := h.ask(t, "POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\nXX\r\n")
	if err != nil || resp.StatusCode != 400 || !resp.Close {
		t.Errorf("got %v, %v", resp, err)
	}
	if got := h.line(t); !strings.HasPrefix(got, "at=info method=POST") || !strings.Contains(got, " status=400 ") {
		t.Errorf("logged %s", got)
	}
}

func TestAnswersWithoutABodyKeepTheConnection(t *testing.T) {
	t.Parallel()
	h := start(t, serving(httpDyno(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "1000")
		switch r.URL.Path {
		case "/204":
			w.Header().Del("Content-Length")
			w.WriteHeader(204)
		case "/304":
			w.WriteHeader(304)
		}
	})), Timeouts{})
	c := h.dial(t)
	in := bufio.NewReader(c)
	for _, request := range []string{strings.Replace(get("/"), "GET", "HEAD", 1), get("/204"), get("/304"), get("/204")} {
		io.WriteString(c, request)
		resp, err := http.ReadResponse(in, &http.Request{Method: strings.Fields(request)[0]})
		if err != nil || resp.Close {
			t.Fatalf("%q: %v, %v", request, resp, err)
		}
		if strings.HasPrefix(request, "HEAD") && resp.ContentLength != 1000 {
			t.Errorf("HEAD lost the length: %v", resp)
		}
	}
}

// counting is a dyno that counts the connections made to it.
func counting(t *testing.T, serve http.HandlerFunc) (route.Dyno, *atomic.Int64, *httptest.Server) {
	t.Helper()
	var made atomic.Int64
	s := httptest.NewUnstartedServer(serve)
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			made.Add(1)
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	return route.Dyno{Name: "web.1", Addr: s.Listener.Addr().String()}, &made, s
}

func ok(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) }

func TestAConnectionToADynoIsUsedAgain(t *testing.T) {
	t.Parallel()
	d, made, _ := counting(t, ok)
	h := start(t, serving(d), Timeouts{})
	for range 5 {
		if resp, _, err := h.ask(t, get("/")); err != nil || resp.StatusCode != 200 {
			t.Fatalf("got %v, %v", resp, err)
		}
		h.line(t)
	}
	if made.Load() != 1 {
		t.Errorf("5 requests made %d connections", made.Load())
	}
}

func TestAPooledConnectionThatTheDynoClosedIsNotUsed(t *testing.T) {
	t.Parallel()
	d, made, s := counting(t, ok)
	h := start(t, serving(d), Timeouts{})
	for range 3 {
		resp, _, err := h.ask(t, get("/"))
		if err != nil || resp.StatusCode != 200 {
			t.Fatalf("got %v, %v", resp, err)
		}
		s.CloseClientConnections()
	}
	if made.Load() != 3 {
		t.Errorf("made %d connections", made.Load())
	}
}

func TestAPooledConnectionIsClosedWhenIdleOrItsDynoIsGone(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]struct {
		timeouts Timeouts
		do       func(t *testing.T, h *harness)
	}{
		"idle": {Timeouts{KeepAlive: 50 * time.Millisecond}, func(*testing.T, *harness) {}},
		"gone": {Timeouts{}, func(t *testing.T, h *harness) {
			h.swap(t, serving(httpDyno(t, ok)))
			h.ask(t, get("/"))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			closed := make(chan struct{})
			h := start(t, serving(rawDyno(t, func(c net.Conn, in *bufio.Reader) {
				readHead(in)
				io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
				if _, err := in.ReadByte(); err == io.EOF {
					close(closed)
				}
			})), end.timeouts)
			h.ask(t, get("/"))
			end.do(t, h)
			wait(t, closed, "the idle connection is closed")
		})
	}
}

// silentWhenReused is a dyno that answers the first request of a connection
// and closes on the second without a word.
func silentWhenReused(t *testing.T, requests *atomic.Int64) route.Dyno {
	return rawDyno(t, func(c net.Conn, in *bufio.Reader) {
		readHead(in)
		requests.Add(1)
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		if readHead(in) != "" {
			requests.Add(1)
		}
	})
}

func TestARequestThatAnIdleConnectionSwallowedIsSentAgainOverANewOne(t *testing.T) {
	t.Parallel()
	var requests atomic.Int64
	h := start(t, serving(silentWhenReused(t, &requests)), Timeouts{})
	for range 2 {
		if resp, _, err := h.ask(t, get("/")); err != nil || resp.StatusCode != 200 {
			t.Errorf("got %v, %v", resp, err)
		}
		if got := h.line(t); !strings.HasPrefix(got, "at=info ") {
			t.Errorf("logged %s", got)
		}
	}
	if requests.Load() != 3 {
		t.Errorf("the dyno got %d requests, want 3", requests.Load())
	}
}

func TestARequestThatANewConnectionSwallowedIsNotSentAgain(t *testing.T) {
	t.Parallel()
	var requests atomic.Int64
	h := start(t, serving(rawDyno(t, func(c net.Conn, in *bufio.Reader) {
		readHead(in)
		if requests.Add(1) == 1 { // and then idles
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			readHead(in)
		}
	})), Timeouts{})
	h.ask(t, get("/"))
	h.line(t)
	if resp, _, err := h.ask(t, get("/")); err != nil || resp.StatusCode != 503 {
		t.Errorf("got %v, %v", resp, err)
	}
	if got := h.line(t); !strings.Contains(got, "code=H13") {
		t.Errorf("logged %s", got)
	}
	if requests.Load() != 2 {
		t.Errorf("the dyno answered or closed on %d new connections, want 2", requests.Load())
	}
}

func TestARequestThatMustNotBeSentTwiceGetsAConnectionOfItsOwn(t *testing.T) {
	t.Parallel()
	for _, request := range []string{
		strings.Replace(get("/"), "GET", "POST", 1),
		strings.Replace(get("/", "Content-Length: 1")+"x", "GET", "PUT", 1),
		strings.Replace(get("/"), "GET", "FROBNICATE", 1),
	} {
		var requests atomic.Int64
		h := start(t, serving(silentWhenReused(t, &requests)), Timeouts{})
		h.ask(t, get("/")) // leaves a connection
		for range 3 {
			if resp, _, err := h.ask(t, request); err != nil || resp.StatusCode != 200 {
				t.Errorf("%q: got %v, %v", request, resp, err)
			}
		}
		if requests.Load() != 4 {
			t.Errorf("%q: the dyno got %d requests, want 4", request, requests.Load())
		}
	}
}

func TestWhatADynoSaysUnaskedReachesNobody(t *testing.T) {
	t.Parallel()
	h := start(t, serving(rawDyno(t, func(c net.Conn, in *bufio.Reader) {
		readHead(in)
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngoodHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad")
		io.Copy(io.Discard, in)
	})), Timeouts{})
	for range 3 {
		if _, body, err := h.ask(t, get("/")); err != nil || body != "good" {
			t.Errorf("got %q, %v", body, err)
		}
	}
}

func TestADynoThatRefusesIsLeftOut(t *testing.T) {
	t.Parallel()
	h := start(t, serving(refusing(t), refusing(t), httpDyno(t, ok), refusing(t)), Timeouts{})
	for range 20 {
		resp, _, err := h.ask(t, get("/"))
		if err != nil || resp.StatusCode != 200 {
			t.Fatalf("got %v, %v", resp, err)
		}
		if got := h.line(t); !strings.Contains(got, "dyno=web.3 ") {
			t.Fatalf("logged %s", got)
		}
	}
}

func TestARequestWaitsForADynoToComeUp(t *testing.T) {
	t.Parallel()
	h := start(t, route.App{State: route.Starting}, Timeouts{})
	c := h.dial(t)
	io.WriteString(c, get("/"))
	waitFor(t, "the request waits", func() bool { return h.queued() == 1 })
	h.swap(t, route.App{State: route.Starting})
	h.swap(t, serving(httpDyno(t, ok)))
	if resp, _, err := answerOn(bufio.NewReader(c)); err != nil || resp.StatusCode != 200 {
		t.Errorf("got %v, %v", resp, err)
	}
}

func (h *harness) queued() int {
	h.fleet.mu.Lock()
	defer h.fleet.mu.Unlock()
	return in(h.fleet.inFlight, "id-of-app").n
}

func TestARequestThatWaitsLearnsThatTheAppCrashed(t *testing.T) {
	t.Parallel()
	h := start(t, route.App{State: route.Starting}, Timeouts{})
	c := h.dial(t)
	io.WriteString(c, get("/"))
	waitFor(t, "the request waits", func() bool { return h.queued() == 1 })
	h.swap(t, route.App{State: route.Crashed})
	if resp, _, err := answerOn(bufio.NewReader(c)); err != nil || resp.StatusCode != 503 {
		t.Errorf("got %v, %v", resp, err)
	}
	if got := h.line(t); !strings.Contains(got, "code=H10") {
		t.Errorf("logged %s", got)
	}
}

func TestAClientThatDoesNotFinishItsHeaderIsCutHoweverItTrickles(t *testing.T) {
	t.Parallel()
	h := start(t, serving(refusing(t)), Timeouts{Client: 200 * time.Millisecond})
	c := h.dial(t)
	go func() {
		for {
			if _, err := io.WriteString(c, "A"); err != nil {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	}()
	// Cut, with or without a word.
	if got, err := io.ReadAll(c); os.IsTimeout(err) || len(got) > 0 && !strings.HasPrefix(string(got), "HTTP/1.1 4") {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestAClientConnectionServesManyRequestsInOrder(t *testing.T) {
	t.Parallel()
	d, made, _ := counting(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprint(w, r.URL.Path, string(body))
	})
	h := start(t, serving(d), Timeouts{})
	c := h.dial(t)
	in := bufio.NewReader(c)
	// Pipelined: all are there before the first is answered.
	for i := range 50 {
		fmt.Fprintf(c, "POST /%d HTTP/1.1\r\nHost: app.test\r\nContent-Length: 1\r\n\r\nx", i)
		fmt.Fprintf(c, "GET /%d HTTP/1.1\r\nHost: app.test\r\n\r\n", i)
	}
	for i := range 100 {
		want := fmt.Sprintf("/%d%s", i/2, []string{"x", ""}[i%2])
		if _, body, err := answerOn(in); err != nil || body != want {
			t.Fatalf("answer %d is %q, %v; want %q", i, body, err, want)
		}
	}
	if n := made.Load(); n > 60 {
		t.Errorf("50 requests with a body and 50 without made %d connections", n)
	}
}
