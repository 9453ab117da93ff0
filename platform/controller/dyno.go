package controller

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"niwa/platform"
	"niwa/platform/dyno"
	"niwa/platform/rendezvous"
	"niwa/platform/store"
)

// attachTime is how long a one-off dyno waits for whoever asked for it.
// Source: https://devcenter.heroku.com/articles/error-codes#r13-attach-error
const attachTime = 60 * time.Second

// RunRequest asks for a one-off dyno.
type RunRequest struct {
	Command    string
	Attach     bool // the client comes to AttachURL for its input and output
	Env        map[string]string
	Size       string // empty for that of the formation
	Type       string // empty for run
	ForceNoTTY bool
}

// Dynos lists an app's dynos by type and number.
func (c *Controller) Dynos(ctx context.Context, nameOrID string) ([]platform.Dyno, error) {
	app, err := c.app(ctx, nameOrID)
	if err != nil {
		return nil, err
	}
	return c.crew(app.ID).dynos(), nil
}

// Dyno returns one dyno by name or id.
func (c *Controller) Dyno(ctx context.Context, nameOrID, dynoNameOrID string) (platform.Dyno, error) {
	all, err := c.Dynos(ctx, nameOrID)
	if err != nil {
		return platform.Dyno{}, err
	}
	for _, d := range all {
		if d.Name == dynoNameOrID || d.ID == dynoNameOrID {
			return d, nil
		}
	}
	return platform.Dyno{}, platform.Missing("dyno")
}

// dynos lists what holds a post, what crashed there, and one-off dynos; not
// workers that were relieved, whose post has another.
func (cr *crew) dynos() []platform.Dyno {
	cr.mu.Lock()
	defer cr.mu.Unlock()
	all := []platform.Dyno{}
	for _, p := range cr.posts {
		if p.worker != nil {
			all = append(all, p.worker.dyno)
		} else if p.ended.ID != "" {
			all = append(all, p.ended)
		}
	}
	for w := range cr.others {
		if oneOff(w.dyno) && !done(w.relieved) {
			all = append(all, w.dyno)
		}
	}
	slices.SortFunc(all, func(a, b platform.Dyno) int {
		return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(number(a), number(b)))
	})
	return all
}

func number(d platform.Dyno) int {
	_, n, _ := strings.Cut(d.Name, ".")
	i, err := strconv.Atoi(n)
	if err != nil {
		return 0
	}
	return i
}

// oneOff says that a dyno is none of the formation. Their numbers are four
// digits long, which no place of the formation has.
func oneOff(d platform.Dyno) bool { return number(d) > maxQuantity }

// Restart has dynos replaced by the reconciler: all of an app, those of a
// process type, or one by its name; one-off dynos are stopped. Stopping a place of the
// formation means the same on Heroku's Common Runtime:
// https://devcenter.heroku.com/articles/dyno-restarts#manual-restarts
func (c *Controller) Restart(ctx context.Context, nameOrID, which string) error {
	app, err := c.app(ctx, nameOrID)
	if err != nil {
		return err
	}
	cr := c.crew(app.ID)
	place, found := cr.called(which)
	oneOffs := cr.oneOffs(which)
	if !found && len(oneOffs) == 0 {
		return c.noDyno(ctx, app, which)
	}
	err = c.Store.Update(ctx, func(tx *store.Tx) error {
		if app, err = tx.App(app.ID); err != nil {
			return err
		}
		if found {
			app.Restarts = restarted(app.Restarts, place, cr.afterAll())
		}
		for _, w := range oneOffs { // one that is on no record is not taken back
			err = errors.Join(err, tx.DeleteDyno(w.dyno.ID))
		}
		return errors.Join(err, tx.SaveApp(app))
	})
	// A one-off dyno stops even so: it may be what fills the disk.
	cr.stopAll(oneOffs)
	if err != nil && found {
		return err
	}
	c.report("taking a dyno that stops from the record", err, "app", app.Name)
	c.apiLog(app.ID, fmt.Sprintf("Restart of %s by user %s", cmp.Or(which, "all dynos"), c.email(ctx)))
	cr.kick()
	return nil
}

// restarted adds a restart to an app's. One of all dynos stands for those
// before it.
func restarted(before map[string]time.Time, place string, at time.Time) map[string]time.Time {
	after := map[string]time.Time{}
	if place != "" {
		maps.Copy(after, before)
	}
	after[place] = at
	return after
}

// afterAll is the present, or later where the clock has been set back since
// one of the crew's dynos was made: a restart is of all that there are.
func (cr *crew) afterAll() time.Time {
	cr.mu.Lock()
	defer cr.mu.Unlock()
	at := now()
	for _, p := range cr.posts {
		for _, w := range []*worker{p.worker, p.next} {
			if w != nil && !w.dyno.CreatedAt.Before(at) {
				at = w.dyno.CreatedAt.Add(time.Microsecond)
			}
		}
	}
	return at
}

// called finds what of the formation somebody means: all of it, a type, or one
// dyno by name or id.
func (cr *crew) called(which string) (place string, found bool) {
	if which == "" {
		return "", true
	}
	cr.mu.Lock()
	defer cr.mu.Unlock()
	for name, p := range cr.posts {
		d := p.ended
		if p.worker != nil {
			d = p.worker.dyno
		}
		switch which {
		case name, d.ID:
			return name, true
		case d.Type:
			place, found = d.Type, true
		}
	}
	return place, found
}

// oneOffs lists the one-off dynos that somebody means by name, id or type.
func (cr *crew) oneOffs(which string) (all []*worker) {
	cr.mu.Lock()
	defer cr.mu.Unlock()
	for w := range cr.others {
		if which != "" && oneOff(w.dyno) && (w.dyno.Name == which || w.dyno.ID == which || w.dyno.Type == which) {
			all = append(all, w)
		}
	}
	return all
}

// noDyno says that there is no such dyno; a process type that has none is
// there all the same.
func (c *Controller) noDyno(ctx context.Context, app platform.App, which string) error {
	formation, err := c.Formation(ctx, app.ID)
	if err != nil {
		return err
	}
	for _, f := range formation {
		if f.Type == which {
			return nil
		}
	}
	return platform.Missing("dyno")
}

// Run starts a one-off dyno of the current release. It is returned while it
// is starting.
func (c *Controller) Run(ctx context.Context, nameOrID string, req RunRequest) (platform.Dyno, error) {
	if req.Command == "" {
		return platform.Dyno{}, platform.Invalid("A one-off dyno needs a command.")
	}
	app, err := c.app(ctx, nameOrID)
	if err != nil {
		return platform.Dyno{}, err
	}
	cr := c.crew(app.ID)
	in, err := cr.read(ctx)
	if err != nil {
		return platform.Dyno{}, err
	}
	if in.slug == nil {
		return platform.Dyno{}, platform.Invalid("App %s has no code to run yet. Deploy it first: git push heroku main", app.Name)
	}
	d, err := oneOffDyno(in, req)
	if err != nil {
		return d, err
	}
	d.Name = cr.freeName(d.Type)
	w := newWorker(d)
	spec := cr.spec(w, in.app, *in.slug, in.config)
	if image, ok := in.slug.Images[req.Command]; ok { // heroku run worker, on the container stack
		spec.Image, spec.Command = image.ID, image.Command
	}
	for name, value := range req.Env {
		spec.Env[name] = value
	}
	var session *rendezvous.Session
	if req.Attach {
		session = c.Rendezvous.Open(attachTime)
		w.dyno.AttachURL = c.AttachURL(session.Secret)
		if !req.ForceNoTTY {
			spec.TTY = terminal(req.Env)
		}
	}
	if !cr.add(w) {
		return d, platform.Errorf(platform.Unavailable, "niwa is stopping.")
	}
	c.apiLog(app.ID, fmt.Sprintf("Starting process with command `%s` by user %s", w.dyno.Command, c.email(ctx)))
	begun := w.dyno
	c.later(func(ctx context.Context) {
		if session == nil {
			cr.runLogged(w, spec)
		} else {
			cr.runAttached(ctx, w, spec, session)
		}
	})
	return begun, nil
}

func oneOffDyno(in intent, req RunRequest) (platform.Dyno, error) {
	d := platform.Dyno{
		AppID: in.app.ID, ReleaseID: in.release.ID, Version: in.release.Version,
		Type: cmp.Or(req.Type, "run"), Command: req.Command, Size: defaultSize,
	}
	for _, f := range in.formation {
		d.Size = f.Size
		if f.Type == req.Command {
			d.Command = f.Command // heroku run worker: the process type's own command
		}
	}
	if req.Size != "" {
		size, ok := platform.SizeNamed(req.Size)
		if !ok {
			return d, platform.Invalid("No such dyno size as %s.", req.Size)
		}
		d.Size = size.Name
	}
	return d, nil
}

// freeName is a name that no other one-off dyno has.
func (cr *crew) freeName(processType string) string {
	cr.mu.Lock()
	defer cr.mu.Unlock()
	for {
		name := fmt.Sprintf("%s.%d", processType, 1000+rand.IntN(9000))
		taken := false
		for w := range cr.others {
			taken = taken || w.dyno.Name == name
		}
		if !taken || len(cr.others) > 1000 {
			return name
		}
	}
}

// terminal reads the size that the client's terminal had when it asked.
func terminal(env map[string]string) *dyno.TTY {
	size := func(name string, otherwise int) int {
		if n, err := strconv.Atoi(env[name]); err == nil && n > 0 && n < 10_000 {
			return n
		}
		return otherwise
	}
	return &dyno.TTY{Window: dyno.Window{Cols: size("COLUMNS", 80), Rows: size("LINES", 24)}}
}

// add takes on a worker that holds no post; not when the crew is dismissed.
func (cr *crew) add(w *worker) bool {
	cr.mu.Lock()
	defer cr.mu.Unlock()
	if cr.dismissed {
		return false
	}
	cr.others[w] = true
	return true
}

// runLogged runs a worker whose output goes into the app's log.
func (cr *crew) runLogged(w *worker, spec dyno.Spec) {
	lines := cr.c.Logs.Writer(cr.appID, "app", w.dyno.Name)
	spec.Output = lines
	cr.run(w, spec)
	cr.c.report("ending the log of a dyno", lines.Close(), "dyno", w.dyno.Name)
}

// runAttached waits for the client and then lets it talk to the dyno.
func (cr *crew) runAttached(ctx context.Context, w *worker, spec dyno.Spec, session *rendezvous.Session) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cr.c.work.Go(func() {
		select {
		case <-w.relieved:
			cancel()
		case <-ctx.Done():
		}
	})
	cr.say(w, "Awaiting client")
	conn, err := session.Accept(ctx)
	if err != nil {
		cr.say(w, "Error R13 (Attach error) -> Failed to attach to process")
		cr.finish(w)
		return
	}
	cr.c.work.Go(func() {
		select {
		case <-conn.Gone(): // nobody is there any more to see it end
			cr.mu.Lock()
			w.stop()
			cr.mu.Unlock()
		case <-w.ended:
		}
	})
	spec.Output, spec.Stdin = conn, conn
	if spec.TTY == nil {
		spec.Stdin = rendezvous.StdinEOF(conn)
	}
	cr.run(w, spec)
	if err := conn.Close(); err != nil {
		cr.c.Log.Debug("closing a rendezvous", "dyno", w.dyno.Name, "error", err)
	}
}

// runReleaseDyno runs the release command of a release and returns its exit
// status. That its dyno cannot be started, or is lost with an engine, says
// nothing about the command, which is tried again a few times.
func (c *Controller) runReleaseDyno(ctx context.Context, app platform.App, r platform.Release, out io.Writer) (int, error) {
	if r.SlugID == nil {
		return 0, errors.New("the release has no slug")
	}
	var slug platform.Slug
	var config platform.Config
	err := c.Store.View(ctx, func(tx *store.Tx) (err error) {
		if slug, err = tx.Slug(app.ID, *r.SlugID); err != nil {
			return err
		}
		own, err := tx.ReleaseConfig(r)
		if err != nil {
			return err
		}
		config, err = withAddons(tx, app.ID, own)
		return err
	})
	if err != nil {
		return 0, err
	}
	cr := c.crew(app.ID)
	for n := range maxTries {
		if n > 0 && !pauseFor(ctx, firstPause<<(n-1)) {
			return 0, ctx.Err()
		}
		w := newWorker(platform.Dyno{
			AppID: app.ID, ReleaseID: r.ID, Version: r.Version, Type: releaseType,
			Name:    cr.freeName(releaseType),
			Command: slug.ProcessTypes[releaseType], Size: defaultSize,
		})
		if !cr.add(w) {
			return 0, context.Canceled
		}
		spec := cr.spec(w, app, slug, config)
		lines := c.Logs.Writer(app.ID, "app", w.dyno.Name)
		spec.Output = io.MultiWriter(out, lines)
		exit, started := cr.run(w, spec)
		if err := lines.Close(); started && !exit.Lost {
			return exit.Code, err
		}
	}
	return 0, errors.New("the release command could not be run; the log of the app says why")
}
