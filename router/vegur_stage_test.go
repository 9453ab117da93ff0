package router

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"niwa/router/route"
)

// Heroku's first router was vegur, and its tests are the best account there is
// of what Heroku's routers do. testdata/vegur.txt lists its cases and who holds
// each; the files vegur_*_test.go tell anew those that no other test holds.

// stage has a test be the client and the dyno at once, both on raw sockets.
type stage struct {
	*harness
	arrived chan *side
	tls     bool
}

func setStage(t *testing.T, timeouts Timeouts) *stage {
	t.Helper()
	return setStageTLS(t, timeouts, nil)
}

func setStageTLS(t *testing.T, timeouts Timeouts, config *tls.Config) *stage {
	t.Helper()
	return setStageWith(t, route.Routing{}, Config{Timeouts: timeouts, TLS: config})
}

func setStageWith(t *testing.T, routing route.Routing, config Config) *stage {
	t.Helper()
	ln := listen(t)
	t.Cleanup(func() { ln.Close() })
	s := &stage{arrived: make(chan *side, 10), tls: config.TLS != nil}
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			s.arrived <- newSide(t, c)
		}
	}()
	app := serving(route.Dyno{Addr: ln.Addr().String()})
	app.Routing = routing
	s.harness = startWith(t, app, config)
	return s
}

func (s *stage) client(t *testing.T) *side {
	t.Helper()
	c := s.dial(t)
	if s.tls {
		c = tls.Client(c, &tls.Config{InsecureSkipVerify: true})
	}
	return newSide(t, c)
}

// dyno is the next connection that is made to the dyno.
func (s *stage) dyno(t *testing.T) *side {
	t.Helper()
	select {
	case d := <-s.arrived:
		return d
	case <-time.After(patience):
		t.Fatal("no new connection came to the dyno")
		return nil
	}
}

// side is one side of the router.
type side struct {
	net.Conn
	in *bufio.Reader
}

func newSide(t *testing.T, c net.Conn) *side {
	c.SetDeadline(time.Now().Add(patience))
	t.Cleanup(func() { c.Close() })
	return &side{c, bufio.NewReader(c)}
}

func (s *side) say(t *testing.T, what string) {
	t.Helper()
	if _, err := io.WriteString(s, what); err != nil {
		t.Fatal(err)
	}
}

// hear reads exactly that.
func (s *side) hear(t *testing.T, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if n, err := io.ReadFull(s.in, got); err != nil || string(got) != want {
		t.Fatalf("got %q, %v; want %q", got[:n], err, want)
	}
}

// rest is what still comes until the other side ends the connection, be it
// with a reset.
func (s *side) rest(t *testing.T) string {
	t.Helper()
	all, err := io.ReadAll(s.in)
	if e, ok := err.(net.Error); ok && e.Timeout() {
		t.Fatalf("the connection did not end after %q", all)
	}
	return string(all)
}

// message reads a whole message as it is on the wire, with the 1xx before it.
// bodiless is whether none of what its head says of a body is there.
func (s *side) message(t *testing.T, bodiless bool) string {
	t.Helper()
	head := readHead(s.in)
	if !strings.HasSuffix(head, "\r\n\r\n") {
		t.Fatalf("a message ends after %q", head)
	}
	length := regexp.MustCompile(`\r\nContent-Length: (\d+)\r\n`).FindStringSubmatch(head)
	switch {
	case strings.HasPrefix(head, "HTTP/1.1 10"):
		return head + s.message(t, bodiless)
	case bodiless:
		return head
	case strings.Contains(head, "\r\nTransfer-Encoding: chunked\r\n"):
		return head + s.chunks(t)
	case length != nil:
		n, _ := strconv.Atoi(length[1])
		return head + s.take(t, n)
	case strings.HasPrefix(head, "HTTP/1.1 "):
		return head + s.rest(t)
	}
	return head
}

func (s *side) take(t *testing.T, n int) string {
	t.Helper()
	b := make([]byte, n)
	if _, err := io.ReadFull(s.in, b); err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func (s *side) chunks(t *testing.T) (all string) {
	t.Helper()
	for {
		line, err := s.in.ReadString('\n')
		size, bad := strconv.ParseInt(strings.TrimSuffix(line, "\r\n"), 16, 64)
		if err != nil || bad != nil {
			t.Fatalf("no chunk but %q after %q: %v", line, all, err)
		}
		if all += line; size == 0 {
			return all + readHead(s.in)
		}
		all += s.take(t, int(size)+len("\r\n"))
	}
}

// play is one exchange, made twice. The second time the client uses the same
// connection, unless that ended, and the dyno must have a new one, unless the
// router is to use the first again.
type play struct {
	request  string
	toDyno   []string // is in what the dyno gets, or is not where "!" is in front
	answer   string
	hangsUp  bool // the dyno, after it
	bodiless bool // the answer is to have no body
	toClient []string
	ends     bool // the client's connection is to
	reuses   bool // the dyno's connection is to serve again
	routing  route.Routing
	config   Config
}

func (p play) run(t *testing.T) {
	t.Parallel()
	s := setStageWith(t, p.routing, p.config)
	client, dyno := s.client(t), (*side)(nil)
	for range 2 {
		client.say(t, p.request)
		if dyno == nil || !p.reuses {
			dyno = s.dyno(t)
		}
		holds(t, "the dyno", dyno.message(t, false), p.toDyno)
		dyno.say(t, p.answer)
		if p.hangsUp {
			dyno.Close()
		}
		holds(t, "the client", client.message(t, p.bodiless), p.toClient)
		s.line(t) // only now is it known what becomes of the connections
		if p.ends {
			if more := client.rest(t); more != "" {
				t.Errorf("the client then got %q", more)
			}
			client = s.client(t)
		}
	}
	if p.hangsUp || p.reuses {
		return
	}
	dyno.Conn.(*net.TCPConn).CloseWrite() // which the router may wait for
	if more := dyno.rest(t); more != "" {
		t.Errorf("the dyno then got %q", more)
	}
}

// holds is whether a message has in it what it should.
func holds(t *testing.T, who, message string, want []string) {
	t.Helper()
	for _, w := range want {
		w, without := strings.CutPrefix(w, "!")
		if strings.Contains(message, w) == without {
			t.Errorf("%s: %q is there: %v, in\n%.2000q", who, w, without, message)
		}
	}
}

// post is a request with a body, of hello.
func post(fields ...string) string {
	return "POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 5\r\n" + strings.Join(append(fields, ""), "\r\n") + "\r\nhello"
}

// chunkedPost is a request whose body is in these chunks, beside a length that
// says otherwise: that is how vegur's tests have it.
func chunkedPost(chunks string, fields ...string) string {
	return "POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 10\r\nTransfer-encoding: chunked\r\n" +
		strings.Join(append(fields, ""), "\r\n") + "\r\n" + chunks
}

// answering is an answer with the body ok.
func answering(fields ...string) string {
	return "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n" + strings.Join(append(fields, ""), "\r\n") + "\r\nok"
}

// large is a message that has 300,000 bytes behind its head.
func large(head string) string {
	return fmt.Sprintf(head, largeLength) + strings.Repeat("m", largeLength)
}

const largeLength = 300_000
