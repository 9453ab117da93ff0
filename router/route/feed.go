package route

import (
	"slices"
	"sync"
	"sync/atomic"
)

// kept is how many changes who follows may be behind: a table whose every app
// changes once in a while is followed change by change.
const kept = 1 << 16

// feed is which apps changed lately.
type feed struct {
	number  atomic.Int64 // of changes there were
	changed atomic.Pointer[chan struct{}]

	mu  sync.Mutex
	ids []string // of the last changes: that with number n at n % kept
}

// add tells of changes that are in use.
func (f *feed) add(ids []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	number := f.number.Load()
	for _, id := range ids {
		number++
		if at := int(number % kept); at < len(f.ids) {
			f.ids[at] = id
		} else {
			f.ids = append(slices.Grow(f.ids, at+1-len(f.ids))[:at], id)
		}
	}
	f.number.Store(number)
	next := make(chan struct{})
	close(*f.changed.Swap(&next))
}

// Number is how many changes there were, each of one app.
func (t *Table) Number() int64 { return t.feed.number.Load() }

// Changed is closed at the next change. Take it before looking up, and no
// change between looking and waiting is missed.
func (t *Table) Changed() <-chan struct{} { return *t.feed.changed.Load() }

// Since lists the ids of the apps that changed after the change with that
// number, and the number it lists up to; what is looked up after is not older.
// It is false when those are too many to remember.
func (t *Table) Since(number int64) (ids []string, to int64, ok bool) {
	f := &t.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	to = f.number.Load()
	if number < 0 || to-number >= kept {
		return nil, to, false
	}
	for n := number + 1; n <= to; n++ {
		ids = append(ids, f.ids[n%kept])
	}
	return ids, to, true
}
