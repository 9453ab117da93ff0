package rendezvous

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

const (
	idleLimit = time.Hour // without a byte either way, as the client has it

	// linger is how long after the last output the end is told. The client
	// sends its ^D when it has seen the greeting, and crashes with EPIPE if
	// the end has come by then.
	linger = 250 * time.Millisecond

	// farewell is how long the client may take to close in turn.
	farewell = time.Second

	// patience is how long half of something waits for the other half.
	patience = 100 * time.Millisecond

	// maxRecord is less than the smallest records that crypto/tls cuts a
	// write into.
	maxRecord = 1 << 10
)

// marker comes before the exit status that "heroku run -x" has the shell
// print. The client finds it only when it comes in one piece.
const marker = "\uFFFF heroku-command-exit-status: "

// Conn is a client's connection. Its methods may be called at the same time.
type Conn struct {
	server *Server
	raw    net.Conn
	r      *bufio.Reader // what the client said right after its first line
	idle   *time.Timer

	goneOnce sync.Once
	gone     chan struct{}

	mu      sync.Mutex
	held    []byte      // output kept back for what may follow it
	release *time.Timer // sends held after all
	last    time.Time   // when output was last sent
}

func newConn(s *Server, raw net.Conn, r *bufio.Reader) *Conn {
	c := &Conn{server: s, raw: raw, r: r, gone: make(chan struct{}), last: time.Now()}
	c.idle = time.AfterFunc(idleLimit, c.drop)
	c.release = time.AfterFunc(idleLimit, c.flush)
	c.release.Stop()
	s.remember(c)
	return c
}

// Gone is closed when a Read or Write has found that the client has left, or
// an hour has passed without a byte.
func (c *Conn) Gone() <-chan struct{} { return c.gone }

func (c *Conn) leave() { c.goneOnce.Do(func() { close(c.gone) }) }

// hangUp ends the connection without ceremony.
func (c *Conn) hangUp() {
	c.idle.Stop()
	c.release.Stop()
	c.drop()
}

func (c *Conn) drop() {
	c.leave()
	c.server.forget(c)
	c.raw.Close()
}

// Read reads what the client types. A terminal takes it as it is; for a pipe
// see StdinEOF.
func (c *Conn) Read(p []byte) (n int, err error) {
	if c.r.Buffered() > 0 {
		n, err = c.r.Read(p)
	} else {
		n, err = c.raw.Read(p) // a record at a time, as the client sent it
	}
	if n > 0 {
		c.idle.Reset(idleLimit)
	}
	if err != nil && !os.IsTimeout(err) {
		c.leave()
	}
	return n, err
}

// Write sends output, in records that end with a line where they can. What may
// be half of something that the client wants whole waits for the next Write,
// but not for long.
func (c *Conn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := p
	if len(c.held) > 0 {
		out = append(c.held, p...)
	}
	keep := len(out) - unfinished(out)
	c.held = bytes.Clone(out[keep:])
	if len(c.held) > 0 {
		c.release.Reset(patience)
	}
	if err := c.send(out[:keep]); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (c *Conn) flush() {
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = c.send(c.held) // which closes gone
	c.held = nil
}

func (c *Conn) send(out []byte) error {
	for len(out) > 0 {
		n := recordEnd(out)
		_ = c.raw.SetWriteDeadline(time.Now().Add(idleLimit))
		if _, err := c.raw.Write(out[:n]); err != nil {
			c.leave()
			return err
		}
		out = out[n:]
		c.last = time.Now()
		c.idle.Reset(idleLimit)
	}
	return nil
}

// unfinished returns how many bytes at the end of p should not be sent without
// what follows: half of a CR LF, which the client turns into LF in a file, or
// an exit status without the end of its line.
func unfinished(p []byte) int {
	half := 0
	if bytes.HasSuffix(p, []byte("\r")) {
		half = 1
	}
	i := bytes.LastIndexByte(p, marker[0])
	if i < 0 || len(p)-i > len(marker)+len("255\r") {
		return half
	}
	tail := p[i:]
	if begun := min(len(tail), len(marker)); string(tail[:begun]) != marker[:begun] || bytes.IndexByte(tail, '\n') >= 0 {
		return half
	}
	return len(tail)
}

// recordEnd says where to cut p so that no line is cut that need not be, and
// no exit status in any case.
func recordEnd(p []byte) int {
	if len(p) <= maxRecord {
		return len(p)
	}
	if i := bytes.LastIndexByte(p[:maxRecord], '\n'); i >= 0 {
		return i + 1
	}
	if i := bytes.LastIndexByte(p[:maxRecord], marker[0]); i > 0 {
		return i
	}
	return maxRecord
}

// Close tells the client that there is no more, waits a little for it to
// close too, and returns. It may take more than a second.
func (c *Conn) Close() error {
	c.mu.Lock()
	err := c.send(c.held)
	c.held = nil
	quiet := time.Until(c.last.Add(linger))
	c.mu.Unlock()
	if err == nil {
		c.part(quiet)
	}
	c.hangUp()
	return nil
}

func (c *Conn) part(quiet time.Duration) {
	select {
	case <-c.gone:
		return
	case <-time.After(quiet):
	}
	half, ok := c.raw.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	late := time.AfterFunc(farewell, c.hangUp)
	defer late.Stop()
	_, _ = io.Copy(io.Discard, c.raw)
}
