package router

import (
	"runtime"
	"time"
)

const (
	// idleFor is how long a connection has no request before it gives back what it
	// has grown.
	idleFor = time.Second
	// keptIdle is how large a buffer may be to be kept: those of usual requests are.
	keptIdle = 1 << 10
)

// claim takes the exchange for a request. Who sweeps may have it for a moment.
func (c *conn) claim() {
	for !c.busy.CompareAndSwap(false, true) {
		runtime.Gosched()
	}
}

// slim gives back what a connection without a request holds: 100,000 of them are
// to be within a gigabyte. Who sweeps calls it.
func (c *conn) slim() {
	runsOut := c.read.at.Load()
	since := runsOut - int64(c.rt.timeouts.Client+c.rt.tower.every)
	if runsOut <= off || c.rt.tower.now.Load()-since < int64(idleFor) || !c.busy.CompareAndSwap(false, true) {
		return
	}
	c.exchange.slim()
	c.busy.Store(false)
}

func (x *exchange) slim() {
	x.body, x.upload = nil, nil // of buffers that others have now
	for _, b := range []*[]byte{&x.request, &x.answer, &x.fwd, &x.id, &x.badge, &x.line.asked, &x.line.by, &x.line.wrote} {
		if cap(*b) > keptIdle {
			*b = nil
		}
	}
}

// more reads on. Where nothing is here it first reads one byte, so that no buffer
// is held while nothing comes; but for a stream of HTTP/2, which comes at once.
func (c *conn) more() (n int, err error) {
	if c.from < c.to || c.protocol != "" {
		return c.Read(c.space())
	}
	c.release()
	n, err = c.Read(c.one[:])
	copy(c.space(), c.one[:n])
	return n, err
}
