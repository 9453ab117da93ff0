package route

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"math/bits"
	"runtime"
)

// Changes are what was changed of apps, in bytes, in order: as it lies in a
// file and goes to other routers.
//
//	'+', place, length of the body, body    the app is so
//	'-', length of the id, id               the app is gone
type Changes []byte

func appendSet(to Changes, place int64, b body) Changes {
	to = binary.AppendUvarint(append(to, '+'), uint64(place))
	return append(binary.AppendUvarint(to, uint64(len(b))), b...)
}

func appendRemove(to Changes, id string) Changes { return appendAll(append(to, '-'), id) }

// A table has so many parts, which of 8 million apps have 2,000 each. The number
// of a part is the first bits of its tags, the last of them first: so each fills
// a gap between those before it, and an index that gets one part after the other
// is never full in one place and empty elsewhere.
const (
	partBits = 12
	parts    = 1 << partBits
)

// partSize is about how many bytes a Part has, where one part has not more.
const partSize = 128 << 10

// Part is some parts of a table: all apps of it whose ids have certain hashes.
type Part struct {
	From int     `json:"from"` // the first
	To   int     `json:"to"`   // and the one after the last
	Apps Changes `json:"apps"`
}

// Parts yields a table in parts, each as it is at that moment. An app that
// does not change meanwhile is in one of them.
func (t *Table) Parts() iter.Seq[Part] {
	return func(yield func(Part) bool) {
		var p Part
		for p.To < parts {
			p.Apps = t.appendPart(p.Apps, p.To)
			if p.To++; len(p.Apps) < partSize && p.To < parts {
				continue
			}
			if !yield(p) {
				return
			}
			p = Part{From: p.To, To: p.To}
		}
	}
}

// appendPart holds changes up for as long as it takes to copy some 2,000 apps.
func (t *Table) appendPart(to Changes, number int) Changes {
	t.writing.Lock()
	defer t.writing.Unlock()
	for _, h := range t.part(number) {
		r, block := t.records.at(h)
		to = appendSet(to, r.place(), r.body())
		runtime.KeepAlive(block)
	}
	return to
}

func (t *Table) appsOf(number int) []*App {
	t.writing.Lock()
	defer t.writing.Unlock()
	var apps []*App
	for _, h := range t.part(number) {
		r, block := t.records.at(h)
		app := r.body().app()
		app.Version = r.version()
		apps = append(apps, &app)
		runtime.KeepAlive(block)
	}
	return apps
}

// part lists the records of a part. t.writing is held.
func (t *Table) part(number int) []handle {
	first := bits.Reverse32(uint32(number))
	return t.ids.between(first, first+(1<<(32-partBits)-1))
}

// Of is what the table has of some apps, as changes.
func (t *Table) Of(ids []string) (c Changes) {
	for _, id := range ids {
		f, ok := t.findID(id)
		if !ok {
			c = appendRemove(c, id)
			continue
		}
		c = appendSet(c, f.record.place(), f.record.body())
		runtime.KeepAlive(f.block)
	}
	return c
}

// ErrCorrupt is what errors.Is finds in the error of a table file, or of
// changes, that cannot be believed.
var ErrCorrupt = errors.New("the routes are corrupt")

// Apply makes changes, if all of them can be believed: else the table is as it
// was, and the error is ErrCorrupt. Any other is of the file, as Set's is.
func (t *Table) Apply(changes Changes) error {
	list, err := changes.decode()
	if err != nil {
		return err
	}
	return t.update(func(b *batch) error {
		b.apply(list)
		return nil
	})
}

// ApplyPart has a part of the table be that of another. The error is Apply's.
func (t *Table) ApplyPart(p Part) error {
	list, err := p.Apps.decode()
	if err != nil {
		return err
	}
	if p.From < 0 || p.From >= p.To || p.To > parts {
		return fmt.Errorf("%w: there is no part from %d to %d", ErrCorrupt, p.From, p.To)
	}
	stays := make(map[string]bool, len(list))
	for _, c := range list {
		if stays[c.id] = true; c.body == nil || !p.has(c.id) {
			return fmt.Errorf("%w: app %q is in another part", ErrCorrupt, c.id)
		}
	}
	return t.update(func(b *batch) error {
		b.apply(list)
		for number := p.From; number < p.To; number++ {
			for _, h := range b.part(number) {
				r, _ := b.records.at(h)
				if id := r.body().id(); !stays[id] {
					b.remove(id)
				}
			}
		}
		return nil
	})
}

func (p Part) has(id string) bool {
	number := int(bits.Reverse32(idTag(id) >> (32 - partBits) << (32 - partBits)))
	return p.From <= number && number < p.To
}

func (b *batch) apply(list []change) {
	for _, c := range list {
		if c.body == nil {
			b.remove(c.id)
		} else {
			b.set(c.id, c.hosts, c.place, c.body)
		}
	}
}

// change is one of Changes.
type change struct {
	id    string
	hosts []string
	place int64
	body  body // nil when the app is gone
}

func (c Changes) decode() (list []change, err error) {
	r := reader{rest: string(c)}
	for r.rest != "" && !r.bad {
		switch r.byte() {
		case '+':
			place := r.varint()
			body := body(r.string())
			if place == 0 || place > maxPlace {
				return nil, fmt.Errorf("%w: an app has the place %d", ErrCorrupt, place)
			}
			hosts, app, err := decode(body)
			if err != nil {
				return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
			}
			list = append(list, change{app.ID, hosts, int64(place), body})
		case '-':
			list = append(list, change{id: r.string()})
		default:
			r.bad = true
		}
	}
	if r.bad {
		return nil, fmt.Errorf("%w: they are no changes of this version of niwa", ErrCorrupt)
	}
	return list, nil
}
