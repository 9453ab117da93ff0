package router

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// tower is the clock that all others are set by: the time of the last sweep, in
// nanoseconds since it was built. Reading it costs next to nothing, and it is never
// more than a sweep behind. It stands still while a laptop sleeps, and nobody sets
// it: a request has its time whatever the time of day becomes.
type tower struct {
	now   atomic.Int64
	every time.Duration
	built time.Time
}

func (t *tower) strike(now time.Time) { t.now.Store(int64(now.Sub(t.built))) }

// exact is the time now, which takes looking.
func (t *tower) exact() int64 { return int64(time.Since(t.built)) }

// after is when a limit has passed, at the earliest.
func (t *tower) after(limit time.Duration) int64 { return t.now.Load() + int64(limit+t.every) }

// clocked is a connection with two clocks, for who waits to read and to write.
// They replace deadlines: to set one costs no system call and no timer. Who
// sweeps looks at them a few times a second, and has a clock that has run out
// end the wait with os.ErrDeadlineExceeded.
type clocked struct {
	net.Conn
	read, write clock
}

func (c *clocked) attach(conn net.Conn, t *tower) {
	c.Conn = conn
	c.read.tower, c.write.tower = t, t
	c.read.bell, c.write.bell = conn.SetReadDeadline, conn.SetWriteDeadline
}

// sweep rings what has run out.
func (c *clocked) sweep(now int64) {
	c.read.sweep(now)
	c.write.sweep(now)
}

// stop ends what waits on the connection, now and from now on.
func (c *clocked) stop() {
	c.read.stop()
	c.write.stop()
}

// clock is a time limit for one that waits. Who waits sets it, or who knows from
// when the wait counts.
type clock struct {
	tower *tower
	at    atomic.Int64 // by the tower, or one of the below
	mu    sync.Mutex   // held to use the bell
	bell  func(deadline time.Time) error
}

const (
	off     = 0
	rung    = -1
	stopped = -2 // rung for good
)

// set starts the clock anew; who waits has that long.
func (c *clock) set(limit time.Duration) { c.change(c.tower.after(limit)) }

// clear stops the clock.
func (c *clock) clear() { c.change(off) }

func (c *clock) change(at int64) {
	for {
		before := c.at.Load()
		if before == stopped {
			return
		}
		if !c.at.CompareAndSwap(before, at) {
			continue
		}
		if before == rung {
			c.ring(time.Time{})
		}
		return
	}
}

func (c *clock) sweep(now int64) {
	if at := c.at.Load(); at > off && at < now {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.at.CompareAndSwap(at, rung) {
			c.bell(time.Unix(1, 0))
		}
	}
}

// interrupt has the clock run out at once, until it is set again.
func (c *clock) interrupt() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.at.Load() != stopped {
		c.at.Store(rung)
	}
	c.bell(time.Unix(1, 0))
}

func (c *clock) stop() {
	c.at.Store(stopped)
	c.ring(time.Unix(1, 0))
}

func (c *clock) isStopped() bool { return c.at.Load() == stopped }

func (c *clock) ring(deadline time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.at.Load() == stopped {
		deadline = time.Unix(1, 0)
	}
	c.bell(deadline)
}
