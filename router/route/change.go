package route

import (
	"bytes"
	"errors"
	"slices"
	"strings"
)

// batch is what one call changes.
type batch struct {
	*Table
	changed []string // ids of apps
	log     []byte   // the same for a file
}

// update has the table changed. What was changed is in use when it returns, and
// with an error that is of the file, only there.
func (t *Table) update(do func(*batch) error) error {
	b := batch{Table: t}
	t.writing.Lock()
	err := do(&b)
	if len(b.changed) > 0 {
		t.feed.add(b.changed)
		t.file.enqueue(b.log)
	}
	t.writing.Unlock()
	return errors.Join(err, t.file.flush())
}

// Set puts apps into the table, each in place of what the table has of it.
// They are in use when it returns. An error is that an entry is none, and that
// app is left as it was, or that the file could not be written, and has the
// table before.
func (t *Table) Set(entries ...Entry) error {
	return t.update(func(b *batch) error {
		var errs []error
		for _, e := range entries {
			hosts := hostKeys(e.Hosts)
			body, err := encode(hosts, &e.App)
			if err != nil {
				errs = append(errs, err)
				continue
			}
			b.set(e.App.ID, hosts, 0, body)
		}
		return errors.Join(errs...)
	})
}

// Remove takes apps out of the table. The error is Set's.
func (t *Table) Remove(ids ...string) error {
	return t.update(func(b *batch) error {
		for _, id := range ids {
			b.remove(id)
		}
		return nil
	})
}

// replaceStep is how many apps Replace changes at once, so that others can
// change the table meanwhile.
const replaceStep = 1000

// Replace has the table hold these apps and no other. Who is in it keeps its
// place among those that list the same host. The error is Set's.
func (t *Table) Replace(entries ...Entry) error {
	var errs []error
	stay := make(map[string]bool, len(entries))
	for some := range slices.Chunk(entries, replaceStep) {
		for _, e := range some {
			stay[e.App.ID] = true
		}
		errs = append(errs, t.Set(some...))
	}
	var leave []string
	for app := range t.Apps() {
		if !stay[app.ID] {
			leave = append(leave, app.ID)
		}
	}
	for some := range slices.Chunk(leave, replaceStep) {
		errs = append(errs, t.Remove(some...))
	}
	return errors.Join(errs...)
}

// Rest has no dyno be up: requests for apps that serve wait. It returns the
// addresses of those that were.
func (t *Table) Rest() (addrs []string, err error) {
	var errs []error
	for app := range t.Apps() {
		if len(app.Dynos) == 0 {
			continue
		}
		errs = append(errs, t.update(func(b *batch) error {
			f, ok := b.findID(app.ID)
			if !ok {
				return nil
			}
			hosts, is := f.record.body().hosts(), f.record.body().app()
			for _, d := range is.Dynos {
				addrs = append(addrs, d.Addr)
			}
			if is.Dynos = nil; is.State == Serving {
				is.State = Starting
			}
			body, err := encode(hosts, &is)
			if err == nil {
				b.set(is.ID, hosts, 0, body)
			}
			return err
		}))
	}
	return addrs, errors.Join(errs...)
}

// set puts an app in, at its place or, when that is 0, where it is or last. The
// hosts are those of the body.
func (b *batch) set(id string, hosts []string, place int64, body body) {
	was, ok := b.findID(id)
	if ok && place == 0 {
		place = was.record.place()
	}
	if ok && place == was.record.place() && bytes.Equal(was.record.body(), body) {
		return
	}
	version := b.last + 1
	if place == 0 {
		place = version
	}
	b.last = max(version, place)
	h := b.records.add(version, place, body)
	if ok {
		b.ids.set(idTag(id), was.handle, h)
	} else {
		b.ids.add(idTag(id), h)
	}
	b.lead(hosts, was, h)
	if ok {
		b.records.drop(was.handle)
	}
	b.tidy()
	b.changed = append(b.changed, id)
	b.log = appendSet(b.log, place, body)
}

// lead has hosts lead to a record, and those that led to the one before and
// are not among them do so no more.
func (b *batch) lead(hosts []string, was found, h handle) {
	var had []string
	if was.handle != 0 {
		had = was.record.body().hosts()
	}
	for _, host := range hosts {
		if _, ok := slices.BinarySearch(had, host); ok {
			b.hosts.set(b.keyTag(host), was.handle, h)
			continue
		}
		b.count(host, 1)
		b.hosts.add(b.keyTag(host), h)
	}
	for _, host := range had {
		if _, ok := slices.BinarySearch(hosts, host); !ok {
			b.hosts.set(b.keyTag(host), was.handle, 0)
			b.count(host, -1)
		}
	}
}

// count counts an app among those that list a host, or out of them.
func (t *Table) count(host string, n int64) {
	name, wild := strings.CutPrefix(host, "*.")
	if wild {
		t.wild.Add(n)
	}
	if _, others := t.findHost(name, wild); others {
		t.contested.Add(n)
	}
}

func (b *batch) remove(id string) {
	was, ok := b.findID(id)
	if !ok {
		return
	}
	b.last++
	b.lead(nil, was, 0)
	b.ids.set(idTag(id), was.handle, 0)
	b.records.drop(was.handle)
	b.tidy()
	b.changed = append(b.changed, id)
	b.log = appendRemove(b.log, id)
}

// tidy moves records out of chunks that are mostly garbage: a few at every
// change, and so there is never much of it, nor ever long to wait.
func (t *Table) tidy() {
	for range moves {
		h := t.records.next()
		if h == 0 {
			return
		}
		r, _ := t.records.at(h)
		id := r.body().id()
		if is, ok := t.findID(id); !ok || is.handle != h {
			continue // garbage
		}
		to := t.records.add(r.version(), r.place(), r.body())
		for _, host := range r.body().hosts() {
			t.hosts.set(t.keyTag(host), h, to)
		}
		t.ids.set(idTag(id), h, to)
		t.records.drop(h)
	}
}
