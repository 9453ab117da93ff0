package controller

import (
	"context"
	"errors"
	"fmt"
	"time"

	"niwa/platform"
	"niwa/platform/dyno"
)

const (
	// bootTime is what a web dyno has to bind its port.
	// Source: https://devcenter.heroku.com/articles/error-codes#r10-boot-timeout
	bootTime = 60 * time.Second
	// stopGrace lies between SIGTERM and SIGKILL.
	// Source: https://devcenter.heroku.com/articles/error-codes#r12-exit-timeout
	stopGrace = 30 * time.Second
	// steady is how long a dyno must have been up for its next crash to
	// count as the first. Heroku does not publish its figure.
	steady = 10 * time.Minute
)

// coolOff is how long a post stays empty after n crashes in a row: not at all
// after the first, then 20 minutes, doubling up to 320. A new release or a
// restart by hand ends it. Heroku says "exponentially increasing":
// https://devcenter.heroku.com/changelog-items/344
func coolOff(n int) time.Duration {
	if n <= 1 {
		return 0
	}
	return 20 * time.Minute << min(n-2, 4)
}

// drainTime is how long the requests that a dyno is serving may take when it
// is to stop: what the router gives a first byte.
// Source: https://devcenter.heroku.com/articles/request-timeout
const drainTime = 30 * time.Second

// worker is one dyno that runs, or is about to or about to stop.
type worker struct {
	dyno     platform.Dyno // its State, Addr and UpdatedAt change, under crew.mu
	relieved chan struct{} // closed when it should stop
	grace    time.Duration // how long it may take then
	drains   bool          // the requests that it serves may end before
	stale    bool          // it is to be replaced, though it is what is wanted
	cycle    time.Time     // when it becomes stale by its age; zero for never
	up       time.Time     // since when it is, by the clock that nobody sets; that of the record for an adopted one
	recorded bool          // the store knows it, so that the next platform can adopt it
	ended    chan struct{} // closed when nothing of it runs
}

func newWorker(d platform.Dyno) *worker {
	d.ID, d.State, d.CreatedAt, d.UpdatedAt = newID(), platform.DynoStarting, now(), now()
	return resumed(d)
}

// resumed is the worker of a dyno that is there already.
func resumed(d platform.Dyno) *worker {
	return &worker{dyno: d, grace: stopGrace, up: d.UpdatedAt, relieved: make(chan struct{}), ended: make(chan struct{})}
}

// stop tells a worker to stop. crew.mu is held.
func (w *worker) stop() {
	if !done(w.relieved) {
		close(w.relieved)
	}
}

// run runs a worker from its start to its end. One that was not started has
// not failed: it was told to stop before, or there is trouble with the runner.
func (cr *crew) run(w *worker, spec dyno.Spec) (exit dyno.Exit, started bool) {
	defer cr.finish(w)
	if done(w.relieved) {
		return exit, false
	}
	cr.say(w, "Starting process with command `%s`", w.dyno.Command)
	if err := cr.begin(w, spec); err != nil {
		cr.say(w, "Dyno could not be started: %v", err)
		cr.failed(w)
		return exit, false
	}
	return cr.attend(w), true
}

// begin puts a dyno on record and starts it. One with a terminal or input
// cannot be adopted, and a release phase is run again from its start.
func (cr *crew) begin(w *worker, spec dyno.Spec) error {
	ctx := context.Background() // the end is brought about by w.relieved, and waited for
	if spec.TTY == nil && spec.Stdin == nil && w.dyno.Type != releaseType {
		if err := cr.c.record(ctx, w.dyno); err != nil {
			return err
		}
		cr.mu.Lock()
		w.recorded = true
		cr.mu.Unlock()
	}
	addr, err := cr.c.Runner.Start(ctx, spec)
	if err != nil {
		return err
	}
	cr.mu.Lock()
	w.dyno.Addr = addr
	cr.mu.Unlock()
	return nil
}

// attend sees a dyno that has been started, or adopted, to its end.
func (cr *crew) attend(w *worker) dyno.Exit {
	if !w.cycle.IsZero() {
		timer := time.AfterFunc(time.Until(w.cycle), func() { cr.recycle(w) })
		defer timer.Stop()
	}
	gone := make(chan struct{})
	adopted := w.dyno.State == platform.DynoUp
	cr.c.work.Go(func() { cr.watch(w, adopted, gone) })
	exit, err := cr.c.Runner.Wait(context.Background(), w.dyno.ID)
	close(gone)
	if err != nil {
		cr.c.report("waiting for a dyno", err, "app", cr.appID, "dyno", w.dyno.Name)
	}
	cr.end(w, exit)
	return exit
}

// watch brings a worker up, unless it is, and down when it is relieved or late.
func (cr *crew) watch(w *worker, up bool, gone <-chan struct{}) {
	switch {
	case up:
	case w.dyno.Type != "web" || cr.bound(w, gone):
		cr.up(w, gone)
	case !done(gone) && !done(w.relieved):
		cr.say(w, "Error R10 (Boot timeout) -> Web process failed to bind to $PORT within %d seconds of launch", int(bootTime.Seconds()))
		cr.say(w, "Stopping process with SIGKILL")
		cr.c.report("stopping a dyno", cr.c.Runner.Stop(context.Background(), w.dyno.ID, 0), "dyno", w.dyno.Name)
		return
	}
	select {
	case <-gone:
		return
	case <-w.relieved:
	}
	cr.drain(w, gone)
	cr.say(w, "Stopping all processes with SIGTERM")
	late := time.AfterFunc(w.grace, func() {
		cr.say(w, "Error R12 (Exit timeout) -> At least one process failed to exit within %d seconds of SIGTERM", int(w.grace.Seconds()))
		cr.say(w, "Stopping remaining processes with SIGKILL")
	})
	cr.c.report("stopping a dyno", cr.c.Runner.Stop(context.Background(), w.dyno.ID, w.grace), "dyno", w.dyno.Name)
	late.Stop()
}

// drain waits for the requests that a dyno serves. The router has none for it
// any more. One that takes longer than drainTime ends with the dyno.
func (cr *crew) drain(w *worker, gone <-chan struct{}) {
	cr.mu.Lock()
	addr, drains := w.dyno.Addr, w.drains
	cr.mu.Unlock()
	if !drains || cr.c.Drain == nil {
		return
	}
	ctx, cancel := context.WithTimeout(cr.ctx, drainTime)
	defer cancel()
	cr.c.work.Go(func() {
		select {
		case <-gone:
			cancel()
		case <-ctx.Done():
		}
	})
	if err := cr.c.Drain(ctx, []string{addr}); err != nil && !errors.Is(err, context.Canceled) {
		cr.c.Log.Debug("stopping a dyno that still serves requests", "app", cr.appID, "dyno", w.dyno.Name, "error", err)
	}
}

// bound waits until a web dyno's port accepts connections.
func (cr *crew) bound(w *worker, gone <-chan struct{}) bool {
	deadline := time.NewTimer(bootTime)
	defer deadline.Stop()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		if cr.c.Runner.Accepts(cr.ctx, w.dyno.ID) {
			return true
		}
		select {
		case <-again.C:
		case <-gone:
			return false
		case <-w.relieved:
			return false
		case <-deadline.C:
			return false
		}
	}
}

// up has a worker be up: on record first, so that who has seen it up finds it
// up after a kill. One that has ended meanwhile never was.
func (cr *crew) up(w *worker, gone <-chan struct{}) {
	cr.mu.Lock()
	d := w.dyno
	cr.mu.Unlock()
	d.State, d.UpdatedAt = platform.DynoUp, now()
	if w.recorded {
		cr.c.report("recording that a dyno is up", cr.c.save(context.Background(), d), "dyno", d.Name)
	}
	cr.mu.Lock()
	if done(gone) {
		cr.mu.Unlock()
		return
	}
	w.dyno.State, w.dyno.UpdatedAt, w.up = d.State, d.UpdatedAt, time.Now()
	if p := cr.posts[w.dyno.Name]; p != nil {
		p.fails = 0
	}
	cr.mu.Unlock()
	cr.say(w, "State changed from starting to up")
	cr.kick()
}

// end takes note of how a worker ended. One that was not told to has crashed;
// a one-off dyno is complete.
func (cr *crew) end(w *worker, exit dyno.Exit) {
	cr.mu.Lock()
	from := w.dyno.State
	to := platform.DynoDown
	p := cr.holding(w)
	var wait time.Duration
	if p != nil && !done(w.relieved) {
		to = platform.DynoCrashed
		if from == platform.DynoUp && time.Since(w.up) > steady {
			p.crashes = 0
		}
		if !exit.Lost {
			p.crashes++
			wait = coolOff(p.crashes)
		}
		cr.lose(p, w, wait)
	} else if oneOff(w.dyno) {
		to = "complete"
	}
	cr.mu.Unlock()
	if exit.Exhausted {
		cr.sayExhausted(w)
	}
	cr.say(w, "Process exited with status %d", exit.Code)
	cr.say(w, "State changed from %s to %s", from, to)
	if to == platform.DynoCrashed {
		time.AfterFunc(wait, cr.kick)
	}
}

// failed takes note that a worker could not be started. That says nothing
// about the app, so it is tried again soon, and then less and less often.
func (cr *crew) failed(w *worker) {
	cr.mu.Lock()
	defer cr.mu.Unlock()
	if p := cr.holding(w); p != nil {
		wait := retryTime << min(p.fails, 6)
		p.fails++
		cr.lose(p, w, wait)
		time.AfterFunc(wait, cr.kick)
	}
}

// holding returns the post that a worker holds, or is next at. cr.mu is held.
func (cr *crew) holding(w *worker) *post {
	p := cr.posts[w.dyno.Name]
	if p == nil || p.worker != w && p.next != w {
		return nil
	}
	return p
}

// lose has a post lose a worker that ended by itself, and wait before it gets
// another. cr.mu is held.
func (cr *crew) lose(p *post, w *worker, wait time.Duration) {
	w.dyno.State, w.dyno.UpdatedAt = platform.DynoCrashed, now()
	p.ended, p.due = w.dyno, time.Now().Add(wait)
	if p.worker == w {
		p.worker = nil
	} else {
		p.next = nil
	}
}

// finish forgets a worker that has ended.
func (cr *crew) finish(w *worker) {
	cr.mu.Lock()
	delete(cr.others, w)
	cr.mu.Unlock()
	if w.recorded {
		cr.c.report("forgetting a dyno", cr.c.forget(context.Background(), w.dyno.ID), "dyno", w.dyno.Name)
	}
	close(w.ended)
	cr.kick()
}

// say writes what the dyno manager does into the app's log.
func (cr *crew) say(w *worker, format string, args ...any) {
	cr.c.Logs.Log(cr.appID, "heroku", w.dyno.Name, fmt.Sprintf(format, args...))
}

func done(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}
