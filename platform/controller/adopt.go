package controller

import (
	"context"

	"niwa/platform"
	"niwa/platform/dyno"
	"niwa/platform/store"
)

// record puts a dyno on record before it runs. Whatever runs and is on no
// record belongs to nobody.
func (c *Controller) record(ctx context.Context, d platform.Dyno) error {
	return c.Store.Update(ctx, func(tx *store.Tx) error { return tx.InsertDyno(d) })
}

func (c *Controller) save(ctx context.Context, d platform.Dyno) error {
	return c.Store.Update(ctx, func(tx *store.Tx) error { return tx.SaveDyno(d) })
}

func (c *Controller) forget(ctx context.Context, id string) error {
	return c.Store.Update(ctx, func(tx *store.Tx) error { return tx.DeleteDyno(id) })
}

// adopt takes back the dynos that the last platform left running, and ends
// what it cannot take back. None is attended to before all have their post, so
// that no post is taken for empty. What it returns stops those that have left
// theirs; call it when the router knows.
func (c *Controller) adopt(ctx context.Context) (stop func(), err error) {
	var dynos []platform.Dyno
	uids := map[string]int{}
	err = c.Store.View(ctx, func(tx *store.Tx) (err error) {
		apps, err := tx.Apps()
		if err != nil {
			return err
		}
		for _, app := range apps {
			uids[app.ID] = app.UID
		}
		dynos, err = tx.Dynos()
		return err
	})
	if err != nil {
		return nil, err
	}
	var attend, retire []func()
	for _, d := range dynos {
		cr := c.crew(d.AppID)
		f, leaving, err := cr.adopt(ctx, d, uids[d.AppID])
		if err != nil {
			c.Log.Info("a dyno of the last run is not taken back", "dyno", d.Name, "reason", err)
			if err := c.forget(ctx, d.ID); err != nil {
				return nil, err
			}
			continue
		}
		attend = append(attend, f)
		retire = append(retire, func() { cr.retire(leaving) })
	}
	if err := c.Runner.Sweep(ctx); err != nil {
		return nil, err
	}
	for _, f := range attend {
		c.later(func(context.Context) { f() })
	}
	return func() {
		for _, f := range retire {
			f()
		}
	}, nil
}

// adopt takes back one dyno. attend sees it to its end; leaving are those that
// have no post, itself perhaps.
func (cr *crew) adopt(ctx context.Context, d platform.Dyno, uid int) (attend func(), leaving []*worker, err error) {
	left := d.State == platform.DynoDown
	if left {
		d.State = platform.DynoUp // as it is until it stops
	}
	w := resumed(d)
	w.recorded = true
	lines := cr.c.Logs.Writer(cr.appID, "app", d.Name)
	spec := dyno.Spec{ID: d.ID, App: d.AppID, Command: d.Command, Web: d.Type == "web", Limits: limits(d.Size), Output: lines}
	if cr.c.Isolate {
		spec.UID = uid
	}
	if w.dyno.Addr, err = cr.c.Runner.Adopt(ctx, spec); err != nil {
		cr.c.report("ending the log of a dyno", lines.Close(), "dyno", d.Name)
		return nil, nil, err
	}
	cr.mu.Lock()
	if left {
		leaving = []*worker{cr.leave(w)}
	} else {
		leaving = cr.place(w)
	}
	cr.mu.Unlock()
	return func() {
		defer cr.finish(w)
		cr.attend(w)
		cr.c.report("ending the log of a dyno", lines.Close(), "dyno", d.Name)
	}, leaving, nil
}

// place gives an adopted worker its post back. Of two that had one, the newer
// was to take the place of the older; of three, the one in the middle had been
// given up. cr.mu is held.
func (cr *crew) place(w *worker) (leaving []*worker) {
	if oneOff(w.dyno) {
		cr.others[w] = true
		return nil
	}
	w.cycle = cr.cycleAt(w.dyno)
	p := cr.posts[w.dyno.Name]
	if p == nil {
		p = &post{}
		cr.posts[w.dyno.Name] = p
	}
	switch {
	case p.worker == nil:
		p.worker = w
	case p.next == nil:
		p.next = w
	default:
		leaving = append(leaving, cr.leave(p.next))
		p.next = w
	}
	return leaving
}
