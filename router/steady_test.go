package router

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"runtime"
	"testing"

	"niwa/router/route"
)

// steady returns what makes one request over connections that are there, with a
// client and a dyno that allocate nothing.
func steady(t testing.TB, routing route.Routing, more ...string) (once func()) {
	answer := []byte("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nDate: Mon, 01 Jan 2001 00:00:00 GMT\r\nContent-Length: 5\r\n\r\nhello")
	dyno := rawDyno(t, func(c net.Conn, in *bufio.Reader) {
		buf := make([]byte, 4096)
		for {
			n, err := c.Read(buf)
			if err != nil || !bytes.HasSuffix(buf[:n], []byte("\r\n\r\n")) {
				return
			}
			c.Write(answer)
		}
	})
	app := serving(dyno)
	app.Routing = routing
	h := start(t, app, Timeouts{})
	h.Router.log = func(string, []byte) {}
	c := h.dial(t)
	request := []byte(get("/", append(more, "User-Agent: test", "Accept: */*", "X-Forwarded-For: 1.2.3.4")...))
	buf := make([]byte, 4096)
	once = func() {
		c.Write(request)
		if n, err := io.ReadAtLeast(c, buf, len(answer)); err != nil || !bytes.HasSuffix(buf[:n], []byte("hello")) {
			t.Fatalf("got %q, %v", buf[:n], err)
		}
	}
	for range 100 {
		once()
	}
	return once
}

func BenchmarkExchange(b *testing.B) {
	once := steady(b, route.Routing{})
	b.ReportAllocs()
	for b.Loop() {
		once()
	}
}

func TestTheSteadyPathAllocatesNextToNothing(t *testing.T) {
	affine := route.Routing{Policy: "two-choices", Affinity: true, Weights: map[string]int{"web.1": 3}}
	for name, once := range map[string]func(){
		"as it is":      steady(t, route.Routing{}),
		"with affinity": steady(t, affine, "Cookie: a=1; heroku-session-affinity="+badgeOf(backendKey{"id-of-app", route.Dyno{Name: "web.1"}})),
	} {
		const requests = 2000
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range requests {
			once()
		}
		runtime.ReadMemStats(&after)
		if each := float64(after.Mallocs-before.Mallocs) / requests; each > 0.1 {
			t.Errorf("%s: %.2f allocations for each request", name, each)
		}
	}
}
