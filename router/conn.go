package router

import (
	"bufio"
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// maxHead bounds what a dyno may send before its answer's header ends.
const maxHead = 1 << 20

// maxInformational bounds the 1xx answers before the one that counts.
const maxInformational = 32

// dynoConn is a connection to a dyno. It keeps the clocks of an exchange by
// itself: FirstByte from when the request is out, Idle between any two bytes
// after the answer began; and it remembers what went wrong, which the readers
// above it are free to forget.
type dynoConn struct {
	net.Conn
	in     *bufio.Reader // the way to read
	idle   time.Duration
	reused bool // it was idle before this exchange
	last   bool // it can take no request after this one

	received  int64 // bytes of this exchange
	inHead    bool  // the answer's header has not ended
	fault     error // the first error of reading
	made      time.Time
	lastWrite atomic.Int64 // nanoseconds since made

	mu       sync.Mutex
	answered bool // a byte of the answer is here

	parked chan error // how the watch on an idle connection ended
}

func newDynoConn(c net.Conn, idle time.Duration) *dynoConn {
	d := &dynoConn{Conn: c, idle: idle, made: time.Now(), parked: make(chan error, 1)}
	d.in = bufio.NewReader(reader{d})
	d.begin()
	return d
}

// begin readies the connection for an exchange.
func (d *dynoConn) begin() {
	d.received, d.inHead, d.fault, d.answered = 0, true, nil, false
	d.SetDeadline(time.Time{})
}

// awaitAnswer starts the clock of the first byte, unless that is here.
func (d *dynoConn) awaitAnswer(timeout time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.answered {
		d.SetReadDeadline(time.Now().Add(timeout))
	}
}

// Write gives the dyno Idle to take the bytes.
func (d *dynoConn) Write(p []byte) (int, error) {
	d.SetWriteDeadline(time.Now().Add(d.idle))
	n, err := d.Conn.Write(p)
	d.lastWrite.Store(int64(time.Since(d.made)))
	return n, err
}

// reader is the unbuffered side of a dynoConn, which only its bufio.Reader reads.
type reader struct{ *dynoConn }

func (r reader) Read(p []byte) (int, error) {
	d := r.dynoConn
	quietSince := time.Now()
	for {
		if d.answered {
			d.SetReadDeadline(quietSince.Add(d.idle))
		}
		n, err := d.Conn.Read(p)
		if n > 0 {
			d.arrived(n)
		}
		if d.inHead && d.received > maxHead {
			err = oversizedHeader
		}
		if d.answered && n == 0 && errors.Is(err, os.ErrDeadlineExceeded) {
			// Bytes that went the other way count: the line is not idle.
			if wrote := d.made.Add(time.Duration(d.lastWrite.Load())); wrote.After(quietSince) {
				quietSince = wrote
				continue
			}
		}
		if err != nil && d.fault == nil {
			d.fault = err
		}
		return n, err
	}
}

func (d *dynoConn) arrived(n int) {
	d.received += int64(n)
	d.mu.Lock()
	d.answered = true
	d.mu.Unlock()
}

// blame is the code of an exchange that failed on the dyno's side: by how
// its connection failed or, when that is sound, by what it sent.
func (d *dynoConn) blame() code {
	var own code
	switch {
	case errors.As(d.fault, &own):
		return own
	case errors.Is(d.fault, os.ErrDeadlineExceeded) && d.answered:
		return idleConnection
	case errors.Is(d.fault, os.ErrDeadlineExceeded):
		return requestTimeout
	case d.fault != nil && d.received == 0:
		return noResponse
	case d.fault == nil && d.inHead:
		return poorlyFormatted
	}
	return serverInterrupted
}

// used is how many bytes of the dyno's went into the answer, header included.
func (d *dynoConn) used() int64 { return d.received - int64(d.in.Buffered()) }

// park watches an idle connection for at most keep. When that ends without
// wake, because the time is over or the dyno closed or said something unasked,
// ended is called.
func (d *dynoConn) park(keep time.Duration, ended func()) {
	d.begin()
	d.SetReadDeadline(time.Now().Add(keep))
	go func() {
		_, err := d.in.Peek(1)
		d.parked <- err
		ended()
	}()
}

// wake ends the watch; it is false when the connection is of no more use.
func (d *dynoConn) wake() bool {
	d.SetReadDeadline(time.Unix(1, 0))
	alive := errors.Is(<-d.parked, os.ErrDeadlineExceeded)
	d.begin()
	d.reused = true
	return alive
}

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
	if _, err := d.in.Peek(1); err == nil {
		return // it goes on talking
	}
}
