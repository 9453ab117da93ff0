package route

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
)

// Live is the table in use. All its methods may be called at the same time.
type Live struct {
	path    string     // empty when the table is kept nowhere
	writing sync.Mutex // one Swap at a time, so that the file ends as the last table
	current atomic.Pointer[generation]
}

type generation struct {
	table   *Table
	number  int64
	changed chan struct{} // closed when the next generation is in use
}

// NewLive starts from a table that somebody else keeps.
func NewLive(t *Table) *Live {
	l := &Live{}
	l.current.Store(&generation{t, 0, make(chan struct{})})
	return l
}

// OpenLive starts from the last table that was saved at path, or from an
// empty one when there is none. When the file is corrupt it is moved to
// path.corrupt and the error is ErrCorrupt: the Live returned with it is
// empty but usable, and the caller goes on once it has told somebody. With
// any other error there is no Live.
func OpenLive(path string) (*Live, error) {
	t, err := load(path)
	if err != nil && !errors.Is(err, ErrCorrupt) {
		return nil, fmt.Errorf("route table: %w", err)
	}
	l := NewLive(t)
	l.path = path
	return l, err
}

// Swap puts a new table into use at once and saves it, where it is kept. An error means only
// that it was not saved: the table is in use, and the file has the one before.
func (l *Live) Swap(t *Table) error {
	l.writing.Lock()
	defer l.writing.Unlock()
	old := l.current.Load()
	l.current.Store(&generation{t, old.number + 1, make(chan struct{})})
	close(old.changed)
	if l.path == "" {
		return nil
	}
	if err := save(l.path, t); err != nil {
		return fmt.Errorf("the new routes are in use but were not saved to %s: %w", l.path, err)
	}
	return nil
}

// Table is the table in use.
func (l *Live) Table() *Table { return l.current.Load().table }

// Changed is closed at the next Swap. Take it before Table, and no change
// between looking and waiting is missed.
func (l *Live) Changed() <-chan struct{} { return l.current.Load().changed }

// Current is the table in use, its number, which rises with every Swap, and
// what is closed at the next.
func (l *Live) Current() (t *Table, number int64, changed <-chan struct{}) {
	g := l.current.Load()
	return g.table, g.number, g.changed
}
