package controller

import (
	"context"
	"maps"
	"sync"
	"time"

	"niwa/platform"
	"niwa/platform/dyno"
	"niwa/platform/store"
)

// crew keeps the dynos of one app what its formation and current release say
// they should be. Whoever changes one of those, or sees a dyno end, kicks the
// crew; its loop then reads the store and acts on the difference.
type crew struct {
	c      *Controller
	appID  string
	kicked chan struct{}   // holds one kick: many are as good as one
	ctx    context.Context // ends when the app is destroyed, or the controller closes
	cancel context.CancelFunc
	builds sync.WaitGroup // those of the app

	mu        sync.Mutex
	posts     map[string]*post // by dyno name: what the formation asks for
	others    map[*worker]bool // one-off dynos, release phases and workers that have left their post
	phase     bool             // a release phase runs
	dismissed bool             // no more workers
}

// retryTime is how long the crew waits after something failed that is not the
// app's fault.
const retryTime = 5 * time.Second

// crew returns the crew of an app, with its loop running.
func (c *Controller) crew(appID string) *crew {
	c.mu.Lock()
	defer c.mu.Unlock()
	cr := c.crews[appID]
	if cr == nil {
		cr = &crew{c: c, appID: appID, kicked: make(chan struct{}, 1), posts: map[string]*post{}, others: map[*worker]bool{}}
		cr.ctx, cr.cancel = context.WithCancel(c.ctx)
		c.crews[appID] = cr
		if c.ctx.Err() == nil {
			c.work.Go(func() { cr.loop(cr.ctx) })
		}
	}
	return cr
}

// present returns the crew of an app that has one.
func (c *Controller) present(appID string) (*crew, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	cr, ok := c.crews[appID]
	return cr, ok
}

// kick has the crew look at what should be, soon.
func (cr *crew) kick() {
	select {
	case cr.kicked <- struct{}{}:
	default:
	}
}

func (cr *crew) loop(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-cr.kicked:
		}
		if err := cr.reconcile(ctx); err != nil && ctx.Err() == nil {
			cr.c.report("reconciling dynos", err, "app", cr.appID)
			time.AfterFunc(retryTime, cr.kick)
		}
	}
}

// intent is what a crew reads from the store: what should be.
type intent struct {
	app       platform.App
	pending   *platform.Release // the oldest release whose phase has not ended
	release   platform.Release
	slug      *platform.Slug // of the current release; nil before the first deploy
	formation []platform.Formation
	config    platform.Config
}

func (cr *crew) read(ctx context.Context) (in intent, err error) {
	err = cr.c.Store.View(ctx, func(tx *store.Tx) error {
		if in.app, err = tx.App(cr.appID); err != nil {
			return err
		}
		releases, err := tx.Releases(cr.appID)
		if err != nil {
			return err
		}
		for _, r := range releases {
			switch r.Status {
			case platform.Pending:
				if in.pending == nil {
					in.pending = &r
				}
			case platform.Succeeded:
				in.release = r
			}
		}
		if in.release.SlugID == nil {
			return nil
		}
		slug, err := tx.Slug(cr.appID, *in.release.SlugID)
		if err != nil {
			return err
		}
		in.slug = &slug
		if in.formation, err = tx.Formation(cr.appID); err != nil {
			return err
		}
		own, err := tx.ReleaseConfig(in.release)
		if err != nil {
			return err
		}
		in.config, err = withAddons(tx, cr.appID, own)
		return err
	})
	return in, err
}

// reconcile acts on the difference between what should be and what is. A
// worker that served stops only when the router knows that it is gone.
func (cr *crew) reconcile(ctx context.Context) error {
	idle := cr.idle() // asked before: a phase that ends during the read is pending in what was read
	in, err := cr.read(ctx)
	if err != nil {
		return err
	}
	if idle {
		cr.startPhase(in)
	}
	room := cr.room(ctx, in)
	cr.mu.Lock()
	leaving := cr.arrange(in, room)
	cr.mu.Unlock()
	if err := cr.c.publish(ctx, cr.appID); err != nil {
		time.AfterFunc(retryTime, func() { cr.retire(leaving) }) // whatever becomes of the next try
		return err
	}
	cr.retire(leaving)
	return nil
}

// idle says whether no release phase runs.
func (cr *crew) idle() bool {
	cr.mu.Lock()
	defer cr.mu.Unlock()
	return !cr.phase
}

// startPhase starts the release phase of the oldest pending release. Others
// wait for it, so that releases settle in their order.
func (cr *crew) startPhase(in intent) {
	cr.mu.Lock()
	defer cr.mu.Unlock()
	if in.pending == nil || cr.dismissed {
		return
	}
	cr.phase = true
	cr.c.later(func(ctx context.Context) {
		if in.pending.HasOutput {
			cr.c.runPhase(ctx, in.app, *in.pending)
		} else {
			cr.c.report("ending the wait of a release", cr.c.settleQuiet(ctx, *in.pending), "app", in.app.Name)
		}
		cr.mu.Lock()
		cr.phase = false
		cr.mu.Unlock()
		cr.kick()
	})
}

// spec is what the runner needs to know of a worker, its output left open.
func (cr *crew) spec(w *worker, app platform.App, slug platform.Slug, config platform.Config) dyno.Spec {
	spec := dyno.Spec{ID: w.dyno.ID, App: app.ID, Env: map[string]string{}, Limits: limits(w.dyno.Size)}
	cr.c.furnish(&spec, slug, w.dyno)
	maps.Copy(spec.Env, config)
	spec.Env["DYNO"] = w.dyno.Name
	if cr.c.Isolate {
		spec.UID = app.UID
	}
	return spec
}

// dismiss has every worker stop: the platform stops, or the app is gone. Those
// that start meanwhile never do.
func (cr *crew) dismiss() []*worker {
	cr.mu.Lock()
	defer cr.mu.Unlock()
	cr.dismissed = true
	for _, p := range cr.posts {
		cr.vacate(p)
	}
	clear(cr.posts)
	var all []*worker
	for w := range cr.others {
		w.drains = false // nobody routes to it any more
		w.stop()
		all = append(all, w)
	}
	return all
}

// disband ends an app's dynos and, when nothing of them runs, removes what the
// app had on disk.
func (c *Controller) disband(appID string) {
	cr := c.crew(appID)
	workers := cr.dismiss()
	cr.cancel()
	c.mu.Lock()
	delete(c.crews, appID)
	c.mu.Unlock()
	c.later(func(ctx context.Context) {
		cr.builds.Wait()
		for _, w := range workers {
			select {
			case <-w.ended:
			case <-ctx.Done():
				return
			}
		}
		remove := func(ctx context.Context) {
			c.report("removing a destroyed app's repository", c.Forget(appID))
			c.report("removing a destroyed app's files", c.sweep(ctx))
		}
		if !c.hold.putOff(remove) {
			remove(ctx)
		}
	})
}
