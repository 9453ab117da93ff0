package route

import (
	"math/bits"
	"runtime"
	"slices"
	"sync/atomic"
	"unsafe"
)

// index finds records by a hash of a key, of which the 32 bits count that are
// its tag. What it finds may be of another key, and there may be several of one
// key. One goroutine at a time writes, and any number read.
//
// It is a hash table of slots that are each written at once: tag << 32 | handle.
// A group of eight is a line of the processor's cache, and is compared without a
// branch, which could be guessed wrong only after the wait for that line. What
// has no room in its group is in the next. A tag's group is in proportion to
// it, so that a range of tags is a range of groups. When the table is full a
// larger one grows beside it, into which every change copies some slots.
type index struct {
	tables atomic.Pointer[tables]
	live   int // handles
	copied int // slots of tables.old
}

// tables are what there is to search, in this order. While old is copied, what
// changes in it changes in both, and what is new is in now alone.
type tables struct{ old, now *slots }

type slots struct {
	*block
	groups []group // the block
	used   int     // slots that are not 0
}

// vacated is a slot whose handle was removed: what was put in behind it must
// still be found.
const vacated = 1 << 32

const groupSize = 8

type group [groupSize]atomic.Uint64

func newSlots(groups int) *slots {
	b := allocate(8 * groupSize * groups)
	return &slots{block: b, groups: unsafe.Slice((*group)(unsafe.Pointer(unsafe.SliceData(b.bytes))), groups)}
}

// place is the group where to begin to look for a tag.
func (s *slots) place(tag uint32) int { return int(uint64(tag) * uint64(len(s.groups)) >> 32) }

// after is the group after the one there.
func (s *slots) after(at int) int {
	if at++; at == len(s.groups) {
		return 0
	}
	return at
}

// look has a bit set for each slot of the tag; open is not 0 when no slot of
// that tag can be in the next group.
func (g *group) look(tag uint32) (match, open uint64) {
	for i := range groupSize {
		slot := g[i].Load()
		match |= (uint64(uint32(slot>>32)^tag) - 1) >> 63 << i
		open |= ^(slot | -slot) >> 63
	}
	return match, open
}

// search goes through what an index may have of a key.
type search struct {
	in    *slots
	then  *slots
	tag   uint32
	at    int
	match uint64 // slots of the group that are to be looked at
	open  uint64
}

func (x *index) search(tag uint32) search {
	t := x.tables.Load()
	if t == nil {
		return search{open: 1}
	}
	s := search{in: t.now, tag: tag}
	if t.old != nil {
		s.in, s.then = t.old, t.now
	}
	s.begin()
	return s
}

func (s *search) begin() {
	s.at = s.in.place(s.tag)
	s.match, s.open = s.in.groups[s.at].look(s.tag)
}

// next is the next handle, or 0.
func (s *search) next() handle {
	for {
		for s.match != 0 {
			slot := s.in.groups[s.at][bits.TrailingZeros64(s.match)&(groupSize-1)].Load()
			s.match &= s.match - 1
			if uint32(slot) != 0 {
				runtime.KeepAlive(s.in.block)
				return handle(slot)
			}
		}
		switch {
		case s.open == 0:
			s.at = s.in.after(s.at)
			s.match, s.open = s.in.groups[s.at].look(s.tag)
		case s.then != nil:
			s.in, s.then = s.then, nil
			s.begin()
		default:
			return 0
		}
	}
}

// add adds a handle.
func (x *index) add(tag uint32, h handle) {
	t := x.tables.Load()
	if t == nil || 4*t.now.used >= 3*groupSize*len(t.now.groups) {
		t = x.grow(t)
	}
	t.now.add(tag, h)
	x.live++
	x.copySome()
}

func (s *slots) add(tag uint32, h handle) {
	for at := s.place(tag); ; at = s.after(at) {
		for i := range groupSize {
			to := &s.groups[at][i]
			was := to.Load()
			if uint32(was) != 0 {
				continue
			}
			if was == 0 {
				s.used++
			}
			to.Store(uint64(tag)<<32 | uint64(h))
			return
		}
	}
}

// grow begins to copy what there is into a table that is half empty then.
func (x *index) grow(full *tables) *tables {
	t := &tables{now: newSlots(2*x.live/groupSize + 8)}
	if full != nil {
		t.old = full.now
	}
	x.copied = 0
	x.tables.Store(t)
	return t
}

// copySome copies as much as to be done before the new table is full.
func (x *index) copySome() {
	t := x.tables.Load()
	if t.old == nil {
		return
	}
	for range 1 + len(t.old.groups)/len(t.now.groups) {
		if x.copied == len(t.old.groups) {
			x.tables.Store(&tables{now: t.now})
			t.now.preferHugePages()
			return
		}
		for i := range groupSize {
			if slot := t.old.groups[x.copied][i].Load(); uint32(slot) != 0 {
				t.now.add(uint32(slot>>32), handle(slot))
			}
		}
		x.copied++
	}
}

// set puts a handle in the place of another, or removes that when it is 0.
func (x *index) set(tag uint32, old, new handle) {
	t := x.tables.Load()
	if t.old != nil {
		t.old.set(tag, old, new)
	}
	t.now.set(tag, old, new)
	if new == 0 {
		x.live--
	}
}

func (s *slots) set(tag uint32, old, new handle) {
	was, is := uint64(tag)<<32|uint64(old), uint64(tag)<<32|uint64(new)
	if new == 0 {
		is = vacated
	}
	for at := s.place(tag); ; at = s.after(at) {
		for i := range groupSize {
			switch s.groups[at][i].Load() {
			case was:
				s.groups[at][i].Store(is)
				return
			case 0:
				return // it is in the other table
			}
		}
	}
}

// between lists the handles with tags from the first to the last.
func (x *index) between(first, last uint32) (list []handle) {
	t := x.tables.Load()
	if t == nil {
		return nil
	}
	if t.old != nil {
		list = t.old.between(list, first, last)
	}
	list = t.now.between(list, first, last)
	slices.Sort(list)
	return slices.Compact(list) // what was copied is in both
}

func (s *slots) between(list []handle, first, last uint32) []handle {
	at, end := s.place(first), s.place(last)
	for past := false; ; at = s.after(at) {
		open := false
		for i := range groupSize {
			slot := s.groups[at][i].Load()
			open = open || slot == 0
			if tag := uint32(slot >> 32); uint32(slot) != 0 && first <= tag && tag <= last {
				list = append(list, handle(slot))
			}
		}
		if past = past || at == end; past && open {
			return list // what had no room in the range is behind it
		}
	}
}
