package router

import (
	"context"
	"fmt"
)

// Drain returns once no request is with a dyno at one of the addresses, nor
// can come to be: call it when Routes has a table without them. Tunnels and
// answers that go on count as requests. When ctx ends first the error is that
// of ctx, and says how many are left.
func (rt *Router) Drain(ctx context.Context, addrs []string) error {
	for {
		left, idled := rt.fleet.left(addrs)
		if left == 0 {
			return nil
		}
		select {
		case <-idled:
		case <-ctx.Done():
			return fmt.Errorf("%d requests are still with dynos that should stop: %w", left, ctx.Err())
		}
	}
}

// left counts the requests that are with dynos at these addresses. idled is
// closed when it pays to ask again. Connections that idle at dynos which the
// table no longer has are closed on the way.
func (f *fleet) left(addrs []string) (n int, idled <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.prune()
	for _, addr := range addrs {
		if c, ok := f.busy[addr]; ok {
			n += c.n
		}
	}
	if f.idled == nil {
		f.idled = make(chan struct{})
	}
	return n, f.idled
}
