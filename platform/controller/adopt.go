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

func (c *Controller) recordUp(ctx context.Context, d platform.Dyno) error {
	return c.Store.Update(ctx, func(tx *store.Tx) error { return tx.SaveDyno(d) })
}

func (c *Controller) forget(ctx context.Context, id string) error {
	return c.Store.Update(ctx, func(tx *store.Tx) error { return tx.DeleteDyno(id) })
}

// adopt takes back the dynos that the last platform left running, and ends
// what it cannot take back. None is attended to before all have their post, so
// that no post is taken for empty.
func (c *Controller) adopt(ctx context.Context) error {
	var dynos []platform.Dyno
	uids := map[string]int{}
	err := c.Store.View(ctx, func(tx *store.Tx) (err error) {
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
		return err
	}
	var attend []func()
	for _, d := range dynos {
		f, err := c.crew(d.AppID).adopt(ctx, d, uids[d.AppID])
		if err != nil {
			c.Log.Info("a dyno of the last run is not taken back", "dyno", d.Name, "reason", err)
			if err := c.forget(ctx, d.ID); err != nil {
				return err
			}
			continue
		}
		attend = append(attend, f)
	}
	if err := c.Runner.Sweep(ctx); err != nil {
		return err
	}
	for _, f := range attend {
		c.later(func(context.Context) { f() })
	}
	return nil
}

// adopt takes back one dyno. What it returns sees the dyno to its end.
func (cr *crew) adopt(ctx context.Context, d platform.Dyno, uid int) (attend func(), err error) {
	w := resumed(d)
	w.recorded = true
	lines := cr.c.Logs.Writer(cr.appID, "app", d.Name)
	spec := dyno.Spec{ID: d.ID, App: d.AppID, Command: d.Command, Web: d.Type == "web", Limits: limits(d.Size), Output: lines}
	if cr.c.Isolate {
		spec.UID = uid
	}
	if w.dyno.Addr, err = cr.c.Runner.Adopt(ctx, spec); err != nil {
		cr.c.report("ending the log of a dyno", lines.Close(), "dyno", d.Name)
		return nil, err
	}
	cr.mu.Lock()
	cr.place(w)
	cr.mu.Unlock()
	return func() {
		defer cr.finish(w)
		cr.attend(w)
		cr.c.report("ending the log of a dyno", lines.Close(), "dyno", d.Name)
	}, nil
}

// place gives an adopted worker its post back. Of two that had one, the newer
// was to take the place of the older. cr.mu is held.
func (cr *crew) place(w *worker) {
	if oneOff(w.dyno) {
		cr.others[w] = true
		return
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
	default: // it was on its way out, as the oldest of three
		cr.others[p.worker] = true
		p.worker.stop()
		p.worker, p.next = p.next, w
	}
}
