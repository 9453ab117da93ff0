package router

import (
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"syscall"

	"niwa/router/wire"
)

// conn is a client's connection. One goroutine serves it from beginning to end:
//
//	    ┌───────────── keep-alive ─────────────┐
//	    ▼                                      │
//	reading a head ──► exchange with a dyno ───┤
//	    │                    │                 │
//	    │ refused            │ 101             │ closes
//	    ▼                    ▼                 ▼
//	 lingering            tunnel ──────────► closed
//
// On plain TCP the whole of it happens within one RawConn.Read. That clears the
// poller's mark of the socket as it begins, and never again: what the client
// sends meanwhile is marked, and so the socket is read only when there is
// something in it. A request whose rest has yet to come, or that asks for
// another protocol, is served outside, where reads are ordinary ones.
type conn struct {
	clocked
	origin
	*scratch
	rt   *Router
	raw  syscall.RawConn // nil unless this is TCP, in plain
	left func() bool     // whether the client has left
	fd   uintptr         // of its socket, within RawConn.Read; else nowhere

	buf      []byte // nil while there is nothing in it
	from, to int    // what is unread of it
	exchange exchange
	one      [1]byte     // what more reads into
	busy     atomic.Bool // it has a request
	unsure   atomic.Bool // whether the client has ended its side
	failed   error       // how reading ended
	unread   bool        // the client is still sending what nobody wants
}

func (rt *Router) newConn(c net.Conn, o origin, raw syscall.RawConn, left func() bool) *conn {
	client := &conn{rt: rt, origin: o, raw: raw, left: left, fd: nowhere}
	client.attach(c, &rt.tower)
	client.exchange.conn, client.exchange.rt = client, rt
	client.equip()
	return client
}

// nowhere is no file descriptor.
const nowhere = ^uintptr(0)

// verdict is what becomes of a connection after what was read.
type verdict int

const (
	hungry  verdict = iota // there is no whole head yet
	outside                // a request is to be served outside of RawConn.Read
	over                   // nothing more will be served
)

// serve serves requests until the client, or the router, ends it.
func (c *conn) serve() {
	if !c.rt.admit(c) {
		c.Close()
		return
	}
	defer c.strip()
	defer c.rt.dismiss(c)
	defer c.hangUp()
	c.await()
	for v := hungry; v != over; {
		if c.raw != nil {
			v = c.turnInside()
		} else {
			v = c.turn()
		}
		if v == outside && !c.serveOne() {
			v = over
		}
	}
	c.sayLate()
}

// await readies the connection for a request. It is over when the router
// drains.
func (c *conn) await() (ok bool) {
	c.req.Reset()
	c.busy.Store(false)
	c.read.set(c.rt.timeouts.Client)
	return !c.rt.draining.Load()
}

// turn reads and serves with ordinary reads.
func (c *conn) turn() verdict {
	for {
		if v := c.consume(true); v != hungry {
			return v
		}
		n, err := c.more()
		c.to += n
		if n == 0 && err != nil {
			c.failed = err
			return over
		}
	}
}

// turnInside reads and serves within RawConn.Read. As that begins, the mark of
// what has come before is lost: so it first reads until there is nothing left,
// and only then trusts a short read. The end of the client's side may hide
// behind one, under the same mark; who sweeps finds it.
func (c *conn) turnInside() (v verdict) {
	drained := false
	defer func() { c.fd = nowhere }()
	err := c.raw.Read(func(fd uintptr) (done bool) {
		for c.fd = fd; ; {
			if v = c.consume(false); v != hungry {
				return true
			}
			space := c.space()
			n, err := receive(fd, space, 0)
			switch {
			case err == syscall.EINTR:
				continue
			case err == syscall.EAGAIN:
				drained = true
				c.release()
				return false
			case n <= 0:
				c.failed, v = errors.Join(err, io.EOF), over
				return true
			}
			c.to += n
			if drained && n < len(space) {
				if v = c.consume(false); v != hungry {
					return true
				}
				c.release()
				c.unsure.Store(true)
				return false
			}
		}
	})
	if err != nil && v == hungry {
		c.failed = err
		return over
	}
	return v
}

// consume serves the requests that are in the buffer. Those that need to read
// from the client are left when that is not allowed.
func (c *conn) consume(mayRead bool) verdict {
	for c.from < c.to {
		n, err := c.req.Parse(c.buf[c.from:c.to])
		if err != nil {
			c.refuse(err)
			return over
		}
		if n == 0 {
			return hungry
		}
		c.from += n
		c.exchange.received = int64(n)
		c.claim()
		c.read.clear()
		if !mayRead && !c.standsAlone() {
			return outside
		}
		if !c.serveOne() {
			return over
		}
	}
	return hungry
}

// standsAlone is whether a request is all there, and is no more than that.
func (c *conn) standsAlone() bool {
	length := c.req.Length()
	return c.req.Upgrade == nil && !c.req.Continue && length >= 0 && length <= int64(c.to-c.from)
}

// serveOne serves the request whose head was read. It is false when that was
// the last.
func (c *conn) serveOne() bool {
	return c.exchange.serve() && c.await()
}

// headSpace is the least there is to read into.
const headSpace = 4 << 10

// space is where to read to, behind what is unread.
func (c *conn) space() []byte {
	if c.buf == nil {
		c.buf = c.rt.buffers.get()
	}
	if c.from == c.to {
		c.from, c.to = 0, 0
	}
	if len(c.buf)-c.to < headSpace && c.from > 0 {
		c.to = copy(c.buf, c.buf[c.from:c.to])
		c.from = 0
	}
	if len(c.buf)-c.to < headSpace {
		larger := make([]byte, 2*len(c.buf))
		copy(larger, c.buf[:c.to])
		c.rt.buffers.put(c.buf)
		c.buf = larger
	}
	return c.buf[c.to:]
}

// release gives the buffer back while there is nothing in it.
func (c *conn) release() {
	if c.from == c.to && c.buf != nil {
		c.rt.buffers.put(c.buf)
		c.buf, c.from, c.to = nil, 0, 0
	}
}

// send writes to the client, which has Idle to take it.
func (c *conn) send(p []byte) error {
	if c.fd != nowhere {
		n, _ := transmit(c.fd, p) // what does not fit, or fails, does so again below
		if p = p[n:]; len(p) == 0 {
			return nil
		}
	}
	c.write.set(c.rt.timeouts.Idle)
	_, err := c.Write(p)
	c.write.clear()
	switch {
	case err == nil:
		return nil
	case c.rt.cut.Err() != nil:
		return forcedClose
	case errors.Is(err, os.ErrDeadlineExceeded):
		return clientIdle
	}
	return clientInterrupted
}

// sayLate tells a client that did not finish a head in time.
func (c *conn) sayLate() {
	if errors.Is(c.failed, os.ErrDeadlineExceeded) && c.from < c.to && !c.rt.draining.Load() {
		c.refuse(&wire.RequestError{Status: 408, Reason: "the header did not come in time"})
	}
}

// hangUp closes the connection so that the last answer arrives: a client that
// is still sending would have it destroyed, and may go on for a moment.
func (c *conn) hangUp() {
	defer c.Close()
	if !c.unread && c.from == c.to || c.rt.cut.Err() != nil {
		return
	}
	if closeWrite(c.Conn) != nil {
		return
	}
	c.read.set(linger)
	buf := c.rt.buffers.get()
	defer c.rt.buffers.put(buf)
	for {
		if _, err := c.Read(buf); err != nil {
			return
		}
	}
}
