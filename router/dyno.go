package router

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"niwa/router/wire"
)

// maxInformational bounds the 1xx answers before the one that counts.
const maxInformational = 32

// dynoConn is a connection to a dyno. It remembers what went wrong with it,
// which the code above is free to forget.
type dynoConn struct {
	clocked
	raw      syscall.RawConn
	timeouts *Timeouts
	resp     wire.Response

	// Of exchange: what is left to write, and what becomes of it.
	request       []byte
	wrote         bool
	failed        error
	writeThenRead func(fd uintptr) (done bool) // ready, made once

	buf      []byte
	from, to int   // what is unread of it
	reused   bool  // it was idle before this exchange
	last     bool  // it can take no request after this one
	idleAt   int64 // by the tower

	received  int64        // bytes of this exchange
	fault     error        // the first error of reading
	lastWrite atomic.Int64 // by the tower

	mu       sync.Mutex
	answered bool // a byte of the answer is here
}

func (rt *Router) newDynoConn(c net.Conn) *dynoConn {
	d := &dynoConn{raw: rawConn(c), timeouts: &rt.timeouts, buf: make([]byte, bufferSize)}
	d.attach(c, &rt.tower)
	d.writeThenRead = d.ready
	d.begin()
	return d
}

// begin readies the connection for an exchange.
func (d *dynoConn) begin() {
	d.received, d.fault, d.from, d.to = 0, nil, 0, 0
	d.answered = false
	if len(d.buf) > bufferSize {
		d.buf = make([]byte, bufferSize) // the last head was a large one
	}
	d.resp.Reset()
	d.read.clear()
	d.write.clear()
}

// Write gives the dyno Idle to take the bytes.
func (d *dynoConn) Write(p []byte) (int, error) {
	d.write.set(d.timeouts.Idle)
	n, err := d.Conn.Write(p)
	d.write.clear()
	d.lastWrite.Store(d.read.tower.exact())
	return n, err
}

// awaitAnswer starts the clock of the first byte, unless that is here: the dyno
// has the request.
func (d *dynoConn) awaitAnswer() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.answered {
		d.read.set(d.timeouts.FirstByte)
	}
}

// exchange sends a whole request and reads the beginning of the answer, or
// nothing when the connection is of no more use. The socket is only read when
// something came after the request was written, which is what the poller then
// waits for; but for one look before, whether the dyno has closed the connection
// or said something unasked.
func (d *dynoConn) exchange(request []byte) error {
	if d.raw == nil {
		return d.exchangePlainly(request)
	}
	d.awaitAnswer()
	d.request, d.wrote, d.failed = request, false, nil
	err := d.raw.Read(d.writeThenRead)
	request, d.request = d.request, nil
	switch {
	case d.failed != nil || err != nil:
		d.fault = errors.Join(d.failed, err)
		return d.fault
	case !d.wrote:
		return d.exchangePlainly(request)
	}
	return nil
}

// ready is called within RawConn.Read: first to write, and then when there is
// something to read. It is true when there is no more to wait for.
func (d *dynoConn) ready(fd uintptr) (done bool) {
	if d.wrote {
		n, err := receive(fd, d.buf, 0)
		if err == syscall.EAGAIN || err == syscall.EINTR {
			return false
		}
		if n <= 0 {
			d.failed = errors.Join(err, io.EOF)
			return true
		}
		d.arrived(n)
		return true
	}
	if !quiet(fd) {
		if d.reused {
			d.failed = io.ErrClosedPipe
		}
		return true
	}
	n, err := transmit(fd, d.request)
	if n == len(d.request) {
		d.wrote = true
		return false
	}
	if err != nil && err != syscall.EAGAIN {
		d.failed = err
	}
	d.request = d.request[n:]
	return true
}

// exchangePlainly is exchange where a write does not fit into the socket.
func (d *dynoConn) exchangePlainly(request []byte) error {
	if _, err := d.Write(request); err != nil {
		d.fault = err
		return err
	}
	d.awaitAnswer()
	return nil
}

// quiet is whether nothing came on a connection that was idle.
func quiet(fd uintptr) bool {
	var one [1]byte
	_, err := receive(fd, one[:], syscall.MSG_PEEK)
	return err == syscall.EAGAIN
}

func (d *dynoConn) arrived(n int) {
	d.to += n
	d.received += int64(n)
	d.mu.Lock()
	d.answered = true
	d.mu.Unlock()
}

// unread is what of the answer is here and has not been taken.
func (d *dynoConn) unread() []byte { return d.buf[d.from:d.to] }

// fill reads more of the answer, behind what is unread. Before the first byte
// the dyno has FirstByte, and from then on Idle between any two, in whichever
// direction they go.
func (d *dynoConn) fill() error {
	if d.from == d.to {
		d.from, d.to = 0, 0
	}
	if d.to == len(d.buf) {
		d.makeRoom()
	}
	for {
		if d.received > 0 {
			d.read.set(d.timeouts.Idle)
		}
		quietSince := d.read.tower.exact()
		n, err := d.Read(d.buf[d.to:])
		if n > 0 {
			d.arrived(n)
			return nil
		}
		if errors.Is(err, os.ErrDeadlineExceeded) && d.received > 0 && d.lastWrite.Load() > quietSince && !d.read.isStopped() {
			continue
		}
		if d.fault == nil {
			d.fault = err
		}
		return d.fault
	}
}

// makeRoom moves what is unread to the front, and makes the buffer larger when
// it is full of that: a head may have a megabyte.
func (d *dynoConn) makeRoom() {
	buf := d.buf
	if d.from == 0 {
		buf = make([]byte, 2*len(d.buf))
	}
	d.to = copy(buf, d.unread())
	d.buf, d.from = buf, 0
}

// head reads the head of the answer.
func (d *dynoConn) head() error {
	d.resp.Reset()
	for {
		if d.from < d.to {
			n, err := d.resp.Parse(d.unread())
			if err != nil {
				return err
			}
			if n > 0 {
				d.from += n
				return nil
			}
		}
		if err := d.fill(); err != nil {
			return err
		}
	}
}

// blame is the code of an exchange that failed on the dyno's side, by how its
// connection failed.
func (d *dynoConn) blame() error {
	switch {
	case errors.Is(d.fault, os.ErrDeadlineExceeded) && d.received > 0:
		return idleConnection
	case errors.Is(d.fault, os.ErrDeadlineExceeded):
		return requestTimeout
	case d.received == 0:
		return noResponse
	}
	return serverInterrupted
}

// used is how many bytes of the dyno's went into the answer, head included.
func (d *dynoConn) used() int64 { return d.received - int64(d.to-d.from) }

// stale is whether the connection closed without a word in answer, as one does
// that the dyno gave up while it was idle.
func (d *dynoConn) stale() bool {
	return d.reused && d.received == 0 && d.fault != nil && !errors.Is(d.fault, os.ErrDeadlineExceeded)
}

// hangUp waits a moment for the dyno to close first. Whoever does has the port
// blocked for a minute (TIME_WAIT), and the router has one port for each
// connection, the dyno one for all.
func (d *dynoConn) hangUp() {
	defer d.Close()
	d.SetDeadline(time.Now().Add(time.Second))
	if n, _ := d.Read(d.buf); n > 0 {
		return // it goes on talking
	}
}
