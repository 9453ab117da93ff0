package router

import (
	"slices"
	"sync"
	"time"

	"niwa/router/policy"
	"niwa/router/route"
)

// inFlightPerDyno is how many requests an app may have in flight on one
// router, for each of its web dynos
// (https://devcenter.heroku.com/articles/http-routing#request-concurrency).
const inFlightPerDyno = 200

// fleet is what this router alone knows of the dynos: which took no
// connection lately, how busy they are with its requests, and the connections
// it keeps to them.
type fleet struct {
	routes *route.Live
	choose policy.Policy

	mu       sync.Mutex
	table    *route.Table // the one that backends were last pruned by
	backends map[backendKey]*backend
	inFlight map[string]int // by app id
	closed   bool
}

// backendKey includes the app, so that a connection to one app's dyno never
// serves another, whatever becomes of its address.
type backendKey struct {
	app  string
	dyno route.Dyno
}

type backend struct {
	dyno        route.Dyno
	quarantined time.Time // until then
	inFlight    int
	idle        []*dynoConn // most recently used last
	gone        bool        // no longer in the table: keeps no connection
}

func newFleet(routes *route.Live, choose policy.Policy) *fleet {
	return &fleet{routes: routes, choose: choose, backends: make(map[backendKey]*backend), inFlight: make(map[string]int)}
}

// enter counts a request for the app in; it is false when the app has as many
// as it may. While no dyno is up, as many may queue as one would serve.
func (f *fleet) enter(app *route.App) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.inFlight[app.ID] >= inFlightPerDyno*max(1, len(app.Dynos)) {
		return false
	}
	f.inFlight[app.ID]++
	return true
}

func (f *fleet) leave(app *route.App) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.inFlight[app.ID]--; f.inFlight[app.ID] == 0 {
		delete(f.inFlight, app.ID)
	}
}

// pick chooses a dyno for a request, which has it until done. It is nil when
// all are quarantined.
func (f *fleet) pick(app *route.App, now time.Time) *backend {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.prune()
	var free []*backend
	var load []policy.Dyno
	for _, dyno := range app.Dynos {
		b := f.backend(backendKey{app.ID, dyno})
		if !now.Before(b.quarantined) {
			free = append(free, b)
			load = append(load, policy.Dyno{InFlight: b.inFlight})
		}
	}
	if len(free) == 0 {
		return nil
	}
	b := free[f.choose(load)]
	b.inFlight++
	return b
}

func (f *fleet) backend(key backendKey) *backend {
	b, ok := f.backends[key]
	if !ok {
		b = &backend{dyno: key.dyno}
		f.backends[key] = b
	}
	return b
}

// prune forgets the dynos that a new table no longer has. One that still
// serves requests ends them on its own.
func (f *fleet) prune() {
	table := f.routes.Table()
	if f.table == table {
		return
	}
	f.table = table
	stays := make(map[backendKey]bool)
	for app := range table.Apps() {
		for _, dyno := range app.Dynos {
			stays[backendKey{app.ID, dyno}] = true
		}
	}
	for key, b := range f.backends {
		if !stays[key] {
			b.retire()
			delete(f.backends, key)
		}
	}
}

// retire closes the idle connections, and has none come back.
func (b *backend) retire() {
	b.gone = true
	for _, c := range b.idle {
		c.Close()
	}
	b.idle = nil
}

func (f *fleet) done(b *backend) {
	f.mu.Lock()
	defer f.mu.Unlock()
	b.inFlight--
}

func (f *fleet) quarantine(b *backend, until time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	b.quarantined = until
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
