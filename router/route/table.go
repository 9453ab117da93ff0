package route

import (
	"hash/maphash"
	"iter"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
)

// Table maps hosts to apps. All its methods may be called at the same time;
// those that look up take no lock. It is changed an app at a time: what looks
// an app up gets a value that never changes, and finds the next one after.
//
// A host that several apps list belongs to the one of them that is in the
// table the longest, and when that leaves, or no longer lists it, to the next.
type Table struct {
	seed    maphash.Seed // so that nobody makes up hosts which collide
	hosts   index
	ids     index
	records arena
	recent  [recentApps]atomic.Pointer[loaded]

	wild      atomic.Int64 // hosts that begin with "*."
	contested atomic.Int64 // apps that list a host which another has

	writing sync.Mutex // one change at a time; it holds no reader up
	last    int64      // version that was given last
	feed    feed
	file    *file // nil when the table is kept nowhere
}

// recentApps is how many apps are kept as App, ready for requests, at most.
const (
	recentBits = 16
	recentApps = 1 << recentBits
)

// loaded is an app as requests see it. It is loaded again when its record has
// moved.
type loaded struct {
	from handle
	app  App
}

// found is a record that is being read. Its block is kept alive until that is
// done.
type found struct {
	handle handle
	record record
	block  *block
}

// New makes an empty table that is kept nowhere.
func New() *Table {
	t, changed := &Table{seed: maphash.MakeSeed()}, make(chan struct{})
	t.feed.changed.Store(&changed)
	return t
}

// Lookup finds the app of a Host header: case, port and a trailing dot do not
// matter, and an exact host wins over the longest wildcard.
func (t *Table) Lookup(header string) (*App, bool) {
	f, ok := t.find(header)
	if !ok {
		return nil, false
	}
	app := t.load(f)
	runtime.KeepAlive(f.block)
	return app, true
}

// App finds an app by its id.
func (t *Table) App(id string) (*App, bool) {
	f, ok := t.findID(id)
	if !ok {
		return nil, false
	}
	app := t.load(f)
	runtime.KeepAlive(f.block)
	return app, true
}

// Apps yields every app that is in the table throughout.
func (t *Table) Apps() iter.Seq[*App] {
	return func(yield func(*App) bool) {
		for number := range parts {
			for _, app := range t.appsOf(number) {
				if !yield(app) {
					return
				}
			}
		}
	}
}

// find takes a header for what it nearly always is, a host as it is listed: one
// that is found needs no more looking at.
func (t *Table) find(header string) (found, bool) {
	f, ok := t.findHost(header, false)
	if ok {
		return f, true
	}
	host, ok := Host(header)
	if !ok {
		return found{}, false
	}
	if host != header {
		f, ok = t.findHost(host, false)
	} else {
		ok = false
	}
	for more := t.wild.Load() > 0; more && !ok; {
		if _, host, more = strings.Cut(host, "."); more {
			f, ok = t.findHost(host, true)
		}
	}
	return f, ok
}

// findHost finds who has a host, which for a wildcard is what follows "*.".
func (t *Table) findHost(host string, wild bool) (best found, ok bool) {
	tag := t.hostTag(host, wild)
again:
	s := t.hosts.search(tag)
	for h := s.next(); h != 0; h = s.next() {
		r, block := t.records.at(h)
		if r == nil { // it moved, and the index says where to
			best, ok = found{}, false
			goto again
		}
		if r.body().lists(host, wild) {
			if t.contested.Load() == 0 {
				return found{h, r, block}, true
			}
			if !ok || r.place() < best.record.place() {
				best, ok = found{h, r, block}, true
			}
		}
		runtime.KeepAlive(block)
	}
	return best, ok
}

func (t *Table) findID(id string) (found, bool) {
	tag, packed := idTag(id), appendID(nil, id)
again:
	s := t.ids.search(tag)
	for h := s.next(); h != 0; h = s.next() {
		r, block := t.records.at(h)
		if r == nil {
			goto again
		}
		if r.body().isOf(packed) {
			return found{h, r, block}, true
		}
		runtime.KeepAlive(block)
	}
	return found{}, false
}

// load makes an App of a record, or has one ready.
func (t *Table) load(f found) *App {
	place := &t.recent[uint32(f.handle)*0x9e3779b1>>(32-recentBits)]
	if l := place.Load(); l != nil && l.from == f.handle && l.app.Version == f.record.version() {
		return &l.app
	}
	l := &loaded{f.handle, f.record.body().app()}
	l.app.Version = f.record.version()
	place.Store(l)
	return &l.app
}

// hostTag is the tag of a host, which for a wildcard is what follows "*.".
func (t *Table) hostTag(host string, wild bool) uint32 {
	hash := maphash.String(t.seed, host)
	if wild {
		hash = ^hash
	}
	return uint32(hash)
}

// keyTag is the tag of a host as hostKey writes it.
func (t *Table) keyTag(key string) uint32 {
	parent, wild := strings.CutPrefix(key, "*.")
	return t.hostTag(parent, wild)
}

// idTag is the tag of an id. It is the same in every table, so that two can be
// compared a part at a time; nobody but the platform makes up ids.
func idTag(id string) uint32 {
	const fnvPrime, fnvOffset = 1099511628211, 14695981039346656037
	hash := uint64(fnvOffset)
	for i := range len(id) {
		hash = (hash ^ uint64(id[i])) * fnvPrime
	}
	return uint32(hash >> 32)
}
