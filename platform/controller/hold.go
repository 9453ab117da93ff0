package controller

import (
	"context"
	"sync"
)

// hold puts off what removes things for good, for as long as somebody copies
// them.
type hold struct {
	mu      sync.Mutex
	holders int
	waiting []func(ctx context.Context)
}

// Hold keeps files and add-ons that verbs are done with where they are, until
// release is called; then they go. What a picture of the store that is taken
// in between names can be read until release.
func (c *Controller) Hold() (release func()) {
	c.hold.mu.Lock()
	defer c.hold.mu.Unlock()
	c.hold.holders++
	return sync.OnceFunc(func() {
		c.hold.mu.Lock()
		defer c.hold.mu.Unlock()
		if c.hold.holders--; c.hold.holders > 0 {
			return
		}
		for _, remove := range c.hold.waiting {
			c.later(remove)
		}
		c.hold.waiting = nil
	})
}

// putOff says whether a removal has to wait; if so it happens at the release.
func (h *hold) putOff(remove func(ctx context.Context)) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.holders > 0 {
		h.waiting = append(h.waiting, remove)
	}
	return h.holders > 0
}
