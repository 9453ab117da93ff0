package router

import (
	"maps"
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
	routes *route.Table
	policy func(name string) policy.Policy

	mu         sync.Mutex
	number     int64 // of the table's last change that was taken in
	backends   map[backendKey]*backend
	formations map[string]*formation // of apps of the table, by id, as far as they were asked for
	free       []*backend            // what pick chooses from, and what the policy sees of it
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
type counter struct {
	n     int
	users int // backends that have it
}

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

func newFleet(routes *route.Table, t *tower, keepAlive time.Duration) *fleet {
	return &fleet{
		routes: routes, policy: policyNamed, tower: t, keepAlive: keepAlive, backends: make(map[backendKey]*backend), formations: make(map[string]*formation),
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
// all are quarantined, and current is false when the app has changed since it
// was looked up: a request is counted with a dyno only while the table has that,
// and so no drain overlooks it.
func (f *fleet) pick(app *route.App, badge []byte, idle bool) (b *backend, d *dynoConn, current bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.prune()
	of := f.of(app.ID)
	if of != nil && of.app.Version < app.Version { // it changed this moment
		of = f.renew(app.ID)
	}
	if of == nil || of.app.Version != app.Version {
		return nil, nil, false
	}
	if b = f.choose(of, badge); b == nil {
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
		b.busy.users++
		f.backends[key] = b
	}
	return b
}

// prune takes in which apps have changed. f.mu is held.
func (f *fleet) prune() {
	if f.routes.Number() == f.number {
		return
	}
	ids, number, ok := f.routes.Since(f.number)
	if !ok {
		ids = slices.Collect(maps.Keys(f.formations))
	}
	f.number = number
	for _, id := range ids {
		if f.formations[id] != nil {
			f.renew(id)
		}
		if c := f.inFlight[id]; c != nil && c.n == 0 {
			delete(f.inFlight, id)
		}
	}
}

// renew has an app's formation be as the table has it, and forgets the dynos
// that are in it no more. One that still serves requests ends them on its own.
func (f *fleet) renew(id string) *formation {
	was := f.formations[id]
	delete(f.formations, id)
	now := f.of(id)
	for _, b := range was.backends {
		if !b.gone && (now == nil || !slices.Contains(now.backends, b)) {
			b.retire()
			delete(f.backends, backendKey{id, b.dyno})
			b.busy.users--
			f.forgetAddress(b)
		}
	}
	return now
}

// forgetAddress forgets that of a dyno, where no other is and no request either.
func (f *fleet) forgetAddress(b *backend) {
	if b.busy.n == 0 && b.busy.users == 0 {
		delete(f.busy, b.dyno.Addr)
	}
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
	b.busy.n--
	f.forgetAddress(b)
	if b.busy.n == 0 && f.idled != nil {
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
