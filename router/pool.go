package router

import (
	"slices"
	"time"
)

// retire closes the idle connections, and has none come back.
func (b *backend) retire() {
	b.gone = true
	for _, c := range b.idle {
		c.Close()
	}
	b.idle = nil
}

// reuse takes a live idle connection to the dyno, or nil.
func (f *fleet) reuse(b *backend) *dynoConn {
	for {
		f.mu.Lock()
		last := len(b.idle) - 1
		if last < 0 {
			f.mu.Unlock()
			return nil
		}
		c := b.idle[last]
		b.idle = b.idle[:last]
		f.mu.Unlock()
		if c.wake() {
			return c
		}
		c.Close()
	}
}

// keep puts a connection by for the next request to the dyno, at most that long.
func (f *fleet) keep(b *backend, c *dynoConn, atMost time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed || b.gone {
		c.Close()
		return
	}
	b.idle = append(b.idle, c)
	c.park(atMost, func() { f.drop(b, c) })
}

// drop closes an idle connection, unless a request has taken it.
func (f *fleet) drop(b *backend, c *dynoConn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if i := slices.Index(b.idle, c); i >= 0 {
		b.idle = slices.Delete(b.idle, i, i+1)
		c.Close()
	}
}

// close closes every idle connection, and keeps none from then on.
func (f *fleet) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	for _, b := range f.backends {
		b.retire()
	}
}
