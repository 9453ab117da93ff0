package router

import (
	"slices"
	"time"
)

// maxSweep is how late a time limit may be noticed.
const maxSweep = 250 * time.Millisecond

// sweepEvery is how often to sweep, so that none of the limits is missed by
// much.
func (t Timeouts) sweepEvery() time.Duration {
	least := slices.Min([]time.Duration{t.FirstByte, t.Idle, t.Client, t.KeepAlive})
	return min(max(least/8, time.Millisecond), maxSweep)
}

// sweep looks after what nobody watches by itself: time limits, clients that
// leave while their request is with a dyno, and idle connections.
func (rt *Router) sweep() {
	tick := time.NewTicker(rt.tower.every)
	defer tick.Stop()
	for {
		select {
		case <-rt.cut.Done():
			return
		case now := <-tick.C:
			rt.tower.strike(now)
			rt.mu.Lock()
			for c := range rt.conns {
				c.sweep(now)
			}
			rt.mu.Unlock()
			rt.fleet.reap()
		}
	}
}

// sweep looks after one client and the request that it has.
func (c *conn) sweep(now time.Time) {
	c.clocked.sweep(c.rt.tower.now.Load())
	if c.unsure.Swap(false) && !c.busy.Load() && ended(c.raw) {
		c.read.interrupt()
	}
	c.slim()
	x := &c.exchange
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.dyno != nil {
		x.dyno.sweep(c.rt.tower.now.Load())
	}
	if x.waits && now.Sub(x.at) > maxSweep/4 && c.left() {
		x.abort(clientInterrupted)
	}
}
