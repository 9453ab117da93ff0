package router

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
)

// maxIdle is what an idle connection may hold, so that 100,000 of them are
// within a gigabyte.
const maxIdle = 10 << 10

func TestAnIdleConnectionHoldsLittle(t *testing.T) {
	small := get("/a/path?with=a&query", "User-Agent: test", "Accept: */*", "Cookie: session=0123456789abcdef0123456789abcdef")
	large := get("/", strings.Repeat("A: b\r\n", 900)+"Cookie: "+strings.Repeat("c", 8000))
	for name, c := range map[string]struct {
		request string
		length  int
	}{
		"after a small answer":  {small, 1 << 10},
		"after a large answer":  {small, 100 << 10},
		"after a large request": {large, 1 << 10},
	} {
		if each := idle(t, 500, c.request, c.length, nil); each > maxIdle {
			t.Errorf("%s it holds %d", name, each)
		}
	}
}

func BenchmarkIdleConnections(b *testing.B) {
	secure := &tls.Config{Certificates: certified(b).TLS.Certificates}
	for name, config := range map[string]*tls.Config{"plain": nil, "TLS": secure} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				b.ReportMetric(float64(idle(b, 9000, get("/", "User-Agent: test"), 1<<10, config)), "B/connection")
			}
		})
	}
}

// idle is how many bytes each of n connections holds that had an answer of that
// length, and then nothing for a while.
func idle(t testing.TB, n int, request string, length int, config *tls.Config) int64 {
	t.Helper()
	answer := strings.Repeat("m", length)
	dyno := httpDyno(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, answer) })
	h := startWith(t, serving(dyno), Config{TLS: config, Limits: Limits{Clients: 2 * n, ClientsPerApp: 2 * n}})
	syscall.Close(connect(t, h, request, config)) // warms up what all share
	h.line(t)
	before := live()
	fds := make([]int, n)
	for i := range fds {
		fds[i] = connect(t, h, request, config)
		h.line(t) // keeps nothing of it
	}
	settled := h.tower.exact() + int64(idleFor+3*h.tower.every)
	waitFor(t, "they are idle", func() bool { return h.tower.now.Load() > settled })
	live() // which has stacks shrink
	each := (live() - before) / int64(n)
	t.Logf("%d connections: %d bytes each", n, each)
	for _, fd := range fds {
		syscall.Close(fd)
	}
	return each
}

// connect makes a client and has it ask once. What is left of it in this process
// is a file descriptor.
func connect(t testing.TB, h *harness, request string, config *tls.Config) (fd int) {
	t.Helper()
	c, err := net.Dial("tcp", h.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var client io.ReadWriter = c
	if config != nil {
		client = tls.Client(c, &tls.Config{InsecureSkipVerify: true})
	}
	io.WriteString(client, request)
	if resp, _, err := answerOn(bufio.NewReader(client)); err != nil || resp.StatusCode != 200 {
		t.Fatalf("got %v, %v", resp, err)
	}
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Control(func(own uintptr) { fd, err = syscall.Dup(int(own)) }); err != nil {
		t.Fatal(err)
	}
	return fd
}
