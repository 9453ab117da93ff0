// Package metrics counts what becomes of a router's requests, and keeps of each
// app what its last day was like. Prometheus reads the counts (Collector), the
// API the history, as time series in the shape of Heroku's (Read).
//
// To count costs a request a few atomic additions. What is counted of an app is
// looked up once and kept; no counting allocates, locks or asks for the time,
// which Record alone moves on.
//
// What clients send is never a label: requests for no app are counted together.
// Only apps with traffic have counts of their own, maxApps of them at most, and
// what has left the routes is forgotten after Keep.
package metrics

import (
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"niwa/router/route"
)

const (
	// Keep is for how long an app, or a dyno, that the routes no longer have can
	// still be read.
	Keep = 15 * time.Minute

	// maxApps bounds the memory: 8 kB for each, and its history. Those that come
	// later are counted as one until there is room.
	maxApps = 10_000
	// others is what those are called, as no app is.
	others = "*"
)

// Metrics is what a router has counted. All methods may be called at the same
// time.
type Metrics struct {
	Clients   Clients
	noSuchApp atomic.Uint64
	refused   [1000]atomic.Uint64 // by status
	others    *App

	mu       sync.RWMutex
	apps     map[string]*App // by id
	names    int             // that were given
	began    time.Time
	recorded time.Time // when Record was called last
}

// New begins to count.
func New(now time.Time) *Metrics {
	return &Metrics{others: newApp(others), apps: make(map[string]*App), began: now, recorded: now}
}

// App is what is counted of an app.
func (m *Metrics) App(id, name string) *App {
	m.mu.RLock()
	a, ok := m.apps[id]
	room := len(m.apps) < maxApps
	m.mu.RUnlock()
	switch {
	case ok:
		return a
	case !room:
		return m.others
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if a, ok := m.apps[id]; ok {
		return a
	}
	a = newApp(id)
	a.active = m.recorded
	m.apps[id] = a
	m.names++
	a.name, a.named = name, m.names
	return a
}

// crowded is whether there once was no room for an app.
func (m *Metrics) crowded() bool { return len(*m.others.dynos.Load()) > 0 }

// rename has an app read under the name that it has now.
func (m *Metrics) rename(a *App, name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if a.name != name {
		m.names++
		a.name, a.named = name, m.names
	}
}

// NoSuchApp counts a request whose host leads nowhere.
func (m *Metrics) NoSuchApp() { m.noSuchApp.Add(1) }

// Refused counts what a client sent that was no request, by the status it got.
func (m *Metrics) Refused(status int) { m.refused[status%1000].Add(1) }

// Run records what is counted, as each Step is over, until ctx ends.
func (m *Metrics) Run(ctx context.Context, routes *route.Table) {
	untilNext := func() time.Duration { return Step - time.Duration(time.Now().UnixNano()%int64(Step)) }
	over := time.NewTimer(untilNext())
	defer over.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-over.C:
			m.Record(now, routes)
			over.Reset(untilNext())
		}
	}
}

// Record adds to the history of each app what was counted since the last call,
// as of when that was, and forgets what the table has not had for Keep.
func (m *Metrics) Record(now time.Time, table *route.Table) {
	last, apps := m.next(now)
	var gone []*App
	for _, a := range apps {
		a.record(last, now)
		listed, ok := table.App(a.id)
		if ok {
			m.rename(a, listed.Name)
		}
		if a.outdated(now, listed, ok) {
			gone = append(gone, a)
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, a := range gone {
		delete(m.apps, a.id)
		a.gone.Store(true)
	}
}

// next moves time on, and returns what it was.
func (m *Metrics) next(now time.Time) (last time.Time, apps []*App) {
	m.mu.Lock()
	defer m.mu.Unlock()
	last, m.recorded = m.recorded, now
	return last, slices.Collect(maps.Values(m.apps))
}

// record adds to the history what was counted since last.
func (a *App) record(last, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if s, some := a.take(); some {
		a.history.add(last, now, s)
		a.active = now
	} else {
		a.history.age(now)
	}
}

// outdated forgets the dynos that an app has had no more for Keep. It is true
// when that goes for the app, or when its history is empty.
func (a *App) outdated(now time.Time, listed *route.App, ok bool) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.inFlight.Load() > 0 {
		a.left = time.Time{}
		return false
	}
	if !ok {
		return expired(&a.left, now)
	}
	a.left = time.Time{}
	a.prune(now, listed)
	return now.Sub(a.active) > coarseSpan+Keep
}

// prune forgets dynos. a.mu is held.
func (a *App) prune(now time.Time, listed *route.App) {
	has := map[string]bool{"": true}
	for _, d := range listed.Dynos {
		has[d.Name] = true
	}
	kept, fewer := dynos{}, false
	for policy, byName := range *a.dynos.Load() {
		for name, d := range byName {
			if has[name] && policy == listed.Routing.Policy {
				d.left = time.Time{}
			} else if expired(&d.left, now) {
				fewer = true
				continue
			}
			if kept[policy] == nil {
				kept[policy] = map[string]*dyno{}
			}
			kept[policy][name] = d
		}
	}
	if fewer {
		a.dynos.Store(&kept)
	}
}

// expired is whether something was left for as long as it is kept.
func expired(left *time.Time, now time.Time) bool {
	if left.IsZero() {
		*left = now
	}
	return now.Sub(*left) >= Keep
}
