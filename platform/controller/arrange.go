package controller

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"niwa/platform"
)

// post is one place of the formation, web.1, and how its workers fare. With
// preboot the next worker comes up beside the one whose place it will take.
type post struct {
	worker  *worker // nil while nothing runs
	next    *worker // nil but while another release is on its way in
	ended   platform.Dyno
	crashes int       // in a row
	fails   int       // starts in a row that failed, which is not the app's fault
	due     time.Time // when the next worker may start
}

// want is what should be at a post.
type want struct {
	platform.Dyno
	preboot bool
	since   time.Time // no dyno there may be older
}

// wanted is what should be at every post, by name.
func (in *intent) wanted() map[string]want {
	all := map[string]want{}
	for _, f := range in.formation {
		for i := 1; i <= f.Quantity; i++ {
			name := fmt.Sprintf("%s.%d", f.Type, i)
			w := want{Dyno: platform.Dyno{
				AppID: in.app.ID, ReleaseID: in.release.ID, Version: in.release.Version,
				Name: name, Type: f.Type, Command: f.Command, Size: f.Size,
			}, preboot: preboots(in.app, f)}
			for _, which := range []string{"", f.Type, name} {
				if at := in.app.Restarts[which]; at.After(w.since) {
					w.since = at
				}
			}
			all[name] = w
		}
	}
	return all
}

// preboots says whether the new dynos of a type serve before the old ones
// stop: where the app says so, and where it does not if there are several.
func preboots(app platform.App, f platform.Formation) bool {
	if f.Type != "web" {
		return false
	}
	if app.Preboot != nil {
		return *app.Preboot
	}
	return f.Quantity > 1
}

// arrange makes the posts those that are wanted, starts who is missing, and
// returns the workers that have lost their place and should stop. room is how
// many more dynos the machine has memory for. cr.mu is held.
func (cr *crew) arrange(in intent, room int) (leaving []*worker) {
	wanted := in.wanted()
	for name, p := range cr.posts {
		if _, ok := wanted[name]; !ok {
			leaving = append(leaving, cr.vacate(p)...)
			delete(cr.posts, name)
		}
	}
	var outdated []string // posts whose worker serves until the next one does
	for _, name := range inOrder(wanted) {
		p := cr.posts[name]
		if p == nil {
			p = &post{}
			cr.posts[name] = p
		}
		left, waits := cr.settle(p, wanted[name])
		leaving = append(leaving, left...)
		if waits {
			outdated = append(outdated, name)
		} else if p.worker == nil {
			cr.start(p, wanted[name], in)
		}
	}
	return append(leaving, cr.replace(outdated, wanted, in, room)...)
}

// settle brings one post as near to what is wanted as can be without starting
// anything. waits says that its worker must be replaced by another that is up.
func (cr *crew) settle(p *post, want want) (leaving []*worker, waits bool) {
	if p.worker == nil && p.next != nil {
		p.worker, p.next = p.next, nil
	}
	if p.next != nil && (!fits(p.next, want) || fits(p.worker, want)) {
		leaving = append(leaving, cr.leave(p.next))
		p.next = nil
	}
	if !want.by(p.ended) { // whose crashes do not count for what is wanted now
		p.crashes, p.fails, p.due = 0, 0, time.Time{}
	}
	if p.worker == nil || fits(p.worker, want) {
		return leaving, false
	}
	if want.preboot && p.worker.dyno.State == platform.DynoUp {
		return leaving, true
	}
	leaving = append(leaving, cr.leave(p.worker))
	p.worker = p.next
	p.next = nil
	return leaving, false
}

// fits says whether a worker is what is wanted at its post.
func fits(w *worker, want want) bool { return !w.stale && want.by(w.dyno) }

// by says whether a dyno is, or was, what is wanted.
func (w want) by(d platform.Dyno) bool {
	return d.ReleaseID == w.ReleaseID && d.Command == w.Command && d.Size == w.Size && !d.CreatedAt.Before(w.since)
}

// replace starts the next workers of outdated posts and puts those that are up
// in their places: all at once where all fit into memory beside the old ones,
// so that no two releases serve side by side for long, and otherwise each as
// it comes up, as many at a time as there is room for.
func (cr *crew) replace(outdated []string, wanted map[string]want, in intent, room int) (leaving []*worker) {
	var up, missing []string
	starting := 0
	for _, name := range outdated {
		switch p := cr.posts[name]; {
		case p.next == nil && !p.cools():
			missing = append(missing, name)
		case p.next == nil: // it crashed, and the old one goes on
		case p.next.dyno.State == platform.DynoUp:
			up = append(up, name)
		default:
			starting++
		}
	}
	room -= starting
	short := len(missing) > room
	if short || starting+len(missing) == 0 {
		for _, name := range up {
			p := cr.posts[name]
			leaving = append(leaving, cr.leave(p.worker))
			p.worker, p.next = p.next, nil
		}
	}
	if short && starting == 0 && !cr.stopping() {
		room = max(room, 1) // or nothing could ever be replaced
	}
	for _, name := range missing[:min(max(room, 0), len(missing))] {
		cr.start(cr.posts[name], wanted[name], in)
	}
	return leaving
}

// replaces says whether a worker is to come up beside the one whose place it
// takes.
func (cr *crew) replaces(in intent) bool {
	cr.mu.Lock()
	defer cr.mu.Unlock()
	for name, want := range in.wanted() {
		p := cr.posts[name]
		if p != nil && p.worker != nil && p.next == nil && want.preboot && !fits(p.worker, want) {
			return true
		}
	}
	return false
}

// stopping says whether a worker that has left its post still runs, and holds
// memory.
func (cr *crew) stopping() bool {
	for w := range cr.others {
		if !oneOff(w.dyno) {
			return true
		}
	}
	return false
}

// cools says that a post is not to be tried now.
func (p *post) cools() bool { return time.Now().Before(p.due) }

// start starts a worker for a place of the formation, unless it is to wait:
// as the worker of an empty post, or as the next one. cr.mu is held.
func (cr *crew) start(p *post, want want, in intent) {
	if cr.dismissed || p.cools() {
		return
	}
	w := newWorker(want.Dyno)
	if w.dyno.CreatedAt.Before(want.since) { // the clock was set back
		w.dyno.CreatedAt = want.since
	}
	w.cycle = cr.cycleAt(w.dyno)
	spec := cr.spec(w, in.app, *in.slug, in.config)
	spec.Web = want.Type == "web"
	if p.worker == nil {
		p.worker = w
	} else {
		p.next = w
	}
	cr.c.later(func(context.Context) { cr.runLogged(w, spec) })
}

// vacate empties a post. cr.mu is held.
func (cr *crew) vacate(p *post) (leaving []*worker) {
	for _, w := range []*worker{p.worker, p.next} {
		if w != nil {
			leaving = append(leaving, cr.leave(w))
		}
	}
	p.worker, p.next = nil, nil
	return leaving
}

// leave has a worker lose its post. It is still to be stopped. cr.mu is held.
func (cr *crew) leave(w *worker) *worker {
	w.drains = w.dyno.Type == "web" && w.dyno.State == platform.DynoUp
	cr.others[w] = true
	return w
}

// retire stops workers that have left, and puts that on record first: a
// platform that comes after this one gives them no post again.
func (cr *crew) retire(all []*worker) {
	for _, w := range all {
		cr.mu.Lock()
		d, recorded := w.dyno, w.recorded
		cr.mu.Unlock()
		if d.State = platform.DynoDown; recorded {
			cr.c.report("recording that a dyno stops", cr.c.save(context.Background(), d), "dyno", d.Name)
		}
	}
	cr.stopAll(all)
}

func (cr *crew) stopAll(all []*worker) {
	cr.mu.Lock()
	defer cr.mu.Unlock()
	for _, w := range all {
		w.stop()
	}
}

func inOrder(wanted map[string]want) []string {
	names := make([]string, 0, len(wanted))
	for name := range wanted {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		x, y := wanted[a].Dyno, wanted[b].Dyno
		return cmp.Or(cmp.Compare(x.Type, y.Type), cmp.Compare(number(x), number(y)))
	})
	return names
}
