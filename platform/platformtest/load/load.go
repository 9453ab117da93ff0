// Package load keeps a constant number of clients busy with one app behind a
// router, and counts what comes of each request: half of them GET, half POST
// with bodies of many sizes, every one with content that no other has, which
// must come back. It retries nothing, so that nothing which goes wrong is
// hidden: that is why it does not use an http.Client.
package load

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Config says whom to ask, and how much.
type Config struct {
	Addr     string // host:port of the router
	Host     string // of an app that answers as Echo does
	Clients  int    // how many requests are under way at any time
	Requests int    // how many in all; 0 for as many as there are until Stop

	// Check looks at the header of an answer that is as it must be to a
	// request that began then; an error makes that one a failure. Nil checks
	// nothing.
	Check func(began time.Time, header http.Header) error
}

// patience is how long an answer may take: longer than the router lets a
// request queue.
const patience = 100 * time.Second

// Load is a load that is on.
type Load struct {
	cfg     Config
	begun   atomic.Int64
	ended   atomic.Int64
	stop    chan struct{}
	stopped sync.Once
	clients sync.WaitGroup
	tally   tally
}

// Start puts the load on, in a first phase of that name.
func Start(cfg Config, phase string) *Load {
	l := &Load{cfg: cfg, stop: make(chan struct{})}
	l.tally.enter(phase)
	for range cfg.Clients {
		l.clients.Go(l.client)
	}
	return l
}

// Phase has the requests that begin from now on counted under another name,
// which may be one that was there before.
func (l *Load) Phase(name string) { l.tally.enter(name) }

// Ended is how many requests have ended, well or not.
func (l *Load) Ended() int { return int(l.ended.Load()) }

// Stop has no more requests begin.
func (l *Load) Stop() { l.stopped.Do(func() { close(l.stop) }) }

// Wait returns what came of it all, once the last request has ended.
func (l *Load) Wait() Report {
	l.clients.Wait()
	return l.tally.report()
}

// next is the number of the next request; false when there is none.
func (l *Load) next() (int64, bool) {
	select {
	case <-l.stop:
		return 0, false
	default:
	}
	n := l.begun.Add(1)
	return n, l.cfg.Requests == 0 || n <= int64(l.cfg.Requests)
}

// client makes one request after the other, over one connection for as long
// as that lasts.
func (l *Load) client() {
	var c *conn
	for {
		n, ok := l.next()
		if !ok {
			break
		}
		phase, begin := l.tally.current(), time.Now()
		var err error
		if c == nil {
			c, err = dial(l.cfg.Addr)
		}
		method, content := request(n)
		var header http.Header
		if err == nil {
			header, err = c.ask(l.cfg.Host, method, content)
		}
		took := time.Since(begin)
		if err == nil && l.cfg.Check != nil {
			err = l.cfg.Check(begin, header)
		}
		l.tally.add(phase, took, method, err)
		l.ended.Add(1)
		if c != nil && (err != nil || c.last) {
			c.Close()
			c = nil
		}
	}
	if c != nil {
		c.Close()
	}
}

// request makes up the method and the content of a request.
func request(n int64) (method, content string) {
	content = fmt.Sprintf("%d-%x", n, rand.Uint64())
	if n%2 == 0 {
		return http.MethodGet, content
	}
	return http.MethodPost, content + strings.Repeat(".", rand.IntN(1<<rand.IntN(16)))
}

// conn is a client's connection.
type conn struct {
	net.Conn
	in   *bufio.Reader
	last bool // the router wants it closed
}

func dial(addr string) (*conn, error) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		time.Sleep(10 * time.Millisecond) // a router that is down gets no storm
		return nil, err
	}
	return &conn{Conn: c, in: bufio.NewReader(c)}, nil
}

// ask makes a request, and returns the header of the answer. An error says how
// that is not the one it must be.
func (c *conn) ask(host, method, content string) (http.Header, error) {
	c.SetDeadline(time.Now().Add(patience))
	out := bufio.NewWriter(c)
	if method == http.MethodGet {
		fmt.Fprintf(out, "GET /?%s HTTP/1.1\r\nHost: %s\r\n\r\n", content, host)
	} else {
		fmt.Fprintf(out, "POST / HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n\r\n%s", host, len(content), content)
	}
	if err := out.Flush(); err != nil {
		return nil, fmt.Errorf("sending: %w", cause(err))
	}
	resp, err := http.ReadResponse(c.in, &http.Request{Method: method})
	if err != nil {
		return nil, fmt.Errorf("no answer: %w", cause(err))
	}
	c.last = resp.Close
	body, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return nil, fmt.Errorf("half an answer: %w", cause(err))
	case resp.StatusCode != http.StatusOK:
		code := regexp.MustCompile(`code=H\d\d`).FindString(string(body))
		return nil, fmt.Errorf("status %d %s", resp.StatusCode, code)
	case string(body) != content:
		return nil, fmt.Errorf("the answer is not what was sent")
	}
	return resp.Header, nil
}

// cause leaves out the addresses, so that equal reasons read alike.
func cause(err error) error {
	if op, ok := err.(*net.OpError); ok {
		return op.Err
	}
	return err
}

// Echo answers what it was asked: the query of a GET, the body of a POST.
func Echo(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet {
		io.WriteString(w, r.URL.RawQuery)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Write(body)
}
