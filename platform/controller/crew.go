package controller

import (
	"context"
	"fmt"
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
	others    map[*worker]bool // one-off dynos, release phases and workers relieved of their post
	phase     bool             // a release phase runs
	dismissed bool             // no more workers
}

// post is one place of the formation, web.1, and how its worker fares.
type post struct {
	worker  *worker // nil while nothing runs
	crashed platform.Dyno
	crashes int       // in a row
	due     time.Time // when the next worker may start
}

// worker is one dyno that runs, or is about to or about to stop.
type worker struct {
	dyno     platform.Dyno // its State and UpdatedAt change, under crew.mu
	relieved chan struct{} // closed when it should stop
	grace    time.Duration // how long it may take then
	ended    chan struct{} // closed when nothing of it runs
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

// reconcile acts on the difference between what should be and what is.
func (cr *crew) reconcile(ctx context.Context) error {
	in, err := cr.read(ctx)
	if err != nil {
		return err
	}
	cr.startPhase(in)
	cr.arrange(in)
	return cr.c.publish(ctx)
}

// startPhase starts the release phase of the oldest pending release. Others
// wait for it, so that releases settle in their order.
func (cr *crew) startPhase(in intent) {
	cr.mu.Lock()
	defer cr.mu.Unlock()
	if in.pending == nil || cr.phase || cr.dismissed {
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

// arrange relieves workers that should not be, or not as they are, and starts
// those that should.
func (cr *crew) arrange(in intent) {
	wanted := map[string]platform.Dyno{}
	for _, f := range in.formation {
		for i := 1; i <= f.Quantity; i++ {
			name := fmt.Sprintf("%s.%d", f.Type, i)
			wanted[name] = platform.Dyno{
				AppID: cr.appID, ReleaseID: in.release.ID, Version: in.release.Version,
				Name: name, Type: f.Type, Command: f.Command, Size: f.Size,
			}
		}
	}
	cr.mu.Lock()
	defer cr.mu.Unlock()
	for name, p := range cr.posts {
		want, ok := wanted[name]
		if p.worker != nil && (!ok || !same(p.worker.dyno, want)) {
			cr.relieve(p)
		}
		if !ok {
			delete(cr.posts, name)
		} else if p.worker == nil && !same(p.crashed, want) {
			p.crashes, p.due = 0, time.Time{}
		}
	}
	for name, want := range wanted {
		p := cr.posts[name]
		if p == nil {
			p = &post{}
			cr.posts[name] = p
		}
		if p.worker == nil && !cr.dismissed && !time.Now().Before(p.due) {
			cr.start(p, want, in)
		}
	}
}

// same says whether a dyno still is what the formation asks for.
func same(d, want platform.Dyno) bool {
	return d.ReleaseID == want.ReleaseID && d.Command == want.Command && d.Size == want.Size
}

// relieve has the worker of a post stop, and leaves the post free for another.
// cr.mu is held.
func (cr *crew) relieve(p *post) {
	w := p.worker
	p.worker, p.crashes, p.due = nil, 0, time.Time{}
	if w != nil {
		cr.others[w] = true
		cr.stop(w, stopGrace)
	}
}

// stop tells a worker to stop. cr.mu is held.
func (cr *crew) stop(w *worker, grace time.Duration) {
	select {
	case <-w.relieved:
	default:
		w.grace = grace
		close(w.relieved)
	}
}

// start starts a worker for a place of the formation. cr.mu is held.
func (cr *crew) start(p *post, d platform.Dyno, in intent) {
	w := newWorker(d)
	spec := cr.spec(w, in.app, *in.slug, in.config)
	spec.Web = d.Type == "web"
	p.worker = w
	cr.c.later(func(context.Context) { cr.runLogged(w, spec) })
}

func newWorker(d platform.Dyno) *worker {
	d.ID, d.State, d.CreatedAt, d.UpdatedAt = newID(), platform.DynoStarting, now(), now()
	return &worker{dyno: d, relieved: make(chan struct{}), ended: make(chan struct{})}
}

// spec is what the runner needs to know of a worker, its output left open.
func (cr *crew) spec(w *worker, app platform.App, slug platform.Slug, config platform.Config) dyno.Spec {
	spec := dyno.Spec{ID: w.dyno.ID, App: app.ID, Slug: cr.c.slugPath(slug.ID), Command: w.dyno.Command, Env: map[string]string{}}
	maps.Copy(spec.Env, config)
	spec.Env["DYNO"] = w.dyno.Name
	if cr.c.Isolate {
		spec.UID = app.UID
	}
	if size, ok := platform.SizeNamed(w.dyno.Size); ok {
		spec.Limits = dyno.Limits{Memory: int64(size.MemoryMB) << 20, CPU: 1024 * size.Compute, Processes: size.Processes()}
	}
	return spec
}

// dismiss relieves every worker: the platform stops, or the app is gone. Those
// that start meanwhile never do.
func (cr *crew) dismiss() []*worker {
	cr.mu.Lock()
	defer cr.mu.Unlock()
	cr.dismissed = true
	for _, p := range cr.posts {
		cr.relieve(p)
	}
	var all []*worker
	for w := range cr.others {
		cr.stop(w, stopGrace)
		all = append(all, w)
	}
	clear(cr.posts)
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
		c.report("removing a destroyed app's repository", c.Forget(appID))
		c.report("removing a destroyed app's files", c.sweep(ctx))
	})
}
