package router

import (
	"maps"
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
	policy func(name string) policy.Policy

	mu         sync.Mutex
	table      *route.Table // the one that backends were last pruned by
	backends   map[backendKey]*backend
	formations map[*route.App]*formation // of apps of the table, as far as they were asked for
	free       []*backend                // what pick chooses from, and what the policy sees of it
	seen       []*policy.Dyno
	inFlight   map[string]*counter // requests by app id
	busy       map[string]*counter // requests that have a dyno, by its address
	idled      chan struct{}       // closed when a dyno has no more of them; nil when nobody waits
	closed     bool
	tower      *tower
	keepAlive  time.Duration // how long a connection may be idle
}

// backendKey includes the app, so that a connection to one app's dyno never
// serves another, whatever becomes of its address.
type backendKey struct {
	app  string
	dyno route.Dyno
}

// counter is a number that is looked up once, and then counted with.
type counter struct{ n int }

func in(counters map[string]*counter, key string) *counter {
	c, ok := counters[key]
	if !ok {
		c = &counter{}
		counters[key] = c
	}
	return c
}

type backend struct {
	seen        policy.Dyno // of a policy
	dyno        route.Dyno
	badge       string      // keeps a client with it
	busy        *counter    // of its address
	quarantined time.Time   // until then
	idle        []*dynoConn // most recently used last
	gone        bool        // no longer in the table: keeps no connection
}

func newFleet(routes *route.Live, t *tower, keepAlive time.Duration) *fleet {
	return &fleet{
		routes: routes, policy: policyNamed, tower: t, keepAlive: keepAlive, backends: make(map[backendKey]*backend), formations: make(map[*route.App]*formation),
		inFlight: make(map[string]*counter), busy: make(map[string]*counter),
	}
}

// enter counts a request for the app in, until it leaves; it is nil when the app
// has as many as it may. While no dyno is up, as many may queue as one would
// serve.
func (f *fleet) enter(app *route.App) *counter {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := in(f.inFlight, app.ID)
	if c.n >= inFlightPerDyno*max(1, len(app.Dynos)) {
		return nil
	}
	c.n++
	return c
}

func (f *fleet) leave(c *counter) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c.n--
}

// pick chooses a dyno for a request, which has it until done: the one of the
// badge, if there is such a one and it is to get requests; with an idle
// connection to it where one is wanted and there is one. The dyno is nil when
// all are quarantined, and current is false when the table that the app was
// looked up in is in use no more: a request is counted with a dyno only while
// the table has that, and so no drain overlooks it.
func (f *fleet) pick(table *route.Table, app *route.App, badge []byte, idle bool) (b *backend, d *dynoConn, current bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.prune(); f.table != table {
		return nil, nil, false
	}
	if b = f.choose(f.of(app), badge); b == nil {
		return nil, nil, true
	}
	b.seen.InFlight++
	b.busy.n++
	if idle {
		d = b.reuse()
	}
	return b, d, true
}

func (f *fleet) backend(key backendKey, weight int) *backend {
	b, ok := f.backends[key]
	if !ok {
		b = &backend{seen: policy.Dyno{Weight: weight}, dyno: key.dyno, badge: badgeOf(key), busy: in(f.busy, key.dyno.Addr)}
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
	clear(f.formations)
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
	maps.DeleteFunc(f.inFlight, func(_ string, c *counter) bool { return c.n == 0 })
	f.forgetAddresses()
}

// forgetAddresses forgets those where no dyno is and no request either.
func (f *fleet) forgetAddresses() {
	used := make(map[*counter]bool)
	for _, b := range f.backends {
		used[b.busy] = true
	}
	maps.DeleteFunc(f.busy, func(_ string, c *counter) bool { return c.n == 0 && !used[c] })
}

// done ends what pick began. The connection, if any, is kept for the next
// request.
func (f *fleet) done(b *backend, d *dynoConn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	b.seen.InFlight--
	if d != nil {
		f.keep(b, d)
	}
	if b.busy.n--; b.busy.n == 0 && f.idled != nil {
		close(f.idled)
		f.idled = nil
	}
}

// quarantine leaves a dyno out for a while. It is false when a new table has
// left it out for good.
func (f *fleet) quarantine(b *backend, until time.Time) (listed bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.prune()
	b.quarantined = until
	return !b.gone
}
