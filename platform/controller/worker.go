package controller

import (
	"context"
	"fmt"
	"net"
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

// run runs a worker from its start to its end.
func (cr *crew) run(w *worker, spec dyno.Spec) dyno.Exit {
	defer cr.finish(w)
	ctx := context.Background() // the end is brought about by w.relieved, and waited for
	select {
	case <-w.relieved:
		return dyno.Exit{}
	default:
	}
	cr.say(w, "Starting process with command `%s`", w.dyno.Command)
	addr, err := cr.c.Runner.Start(ctx, spec)
	if err != nil {
		cr.say(w, "Dyno could not be started: %v", err)
		cr.end(w, dyno.Exit{Code: 1})
		return dyno.Exit{Code: 1}
	}
	cr.mu.Lock()
	w.dyno.Addr = addr
	cr.mu.Unlock()
	gone := make(chan struct{})
	cr.c.work.Go(func() { cr.watch(w, gone) })
	exit, err := cr.c.Runner.Wait(ctx, w.dyno.ID)
	close(gone)
	if err != nil {
		cr.c.report("waiting for a dyno", err, "app", cr.appID, "dyno", w.dyno.Name)
		exit = dyno.Exit{Code: 1}
	}
	cr.end(w, exit)
	return exit
}

// watch brings a worker up, and down when it is relieved or late.
func (cr *crew) watch(w *worker, gone <-chan struct{}) {
	if w.dyno.Type != "web" {
		cr.up(w)
	} else if up := cr.bound(w, gone); up {
		cr.up(w)
	} else if !done(gone) && !done(w.relieved) {
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
	cr.say(w, "Stopping all processes with SIGTERM")
	late := time.AfterFunc(w.grace, func() {
		cr.say(w, "Error R12 (Exit timeout) -> At least one process failed to exit within %d seconds of SIGTERM", int(w.grace.Seconds()))
		cr.say(w, "Stopping remaining processes with SIGKILL")
	})
	cr.c.report("stopping a dyno", cr.c.Runner.Stop(context.Background(), w.dyno.ID, w.grace), "dyno", w.dyno.Name)
	late.Stop()
}

// bound waits until a web dyno's port accepts connections.
func (cr *crew) bound(w *worker, gone <-chan struct{}) bool {
	deadline := time.NewTimer(bootTime)
	defer deadline.Stop()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		if conn, err := net.DialTimeout("tcp", w.dyno.Addr, time.Second); err == nil {
			conn.Close()
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

func (cr *crew) up(w *worker) {
	cr.mu.Lock()
	w.dyno.State, w.dyno.UpdatedAt = platform.DynoUp, now()
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
	p := cr.posts[w.dyno.Name]
	crashed := p != nil && p.worker == w && !done(w.relieved)
	var wait time.Duration
	if crashed {
		to = platform.DynoCrashed
		if from == platform.DynoUp && time.Since(w.dyno.UpdatedAt) > steady {
			p.crashes = 0
		}
		p.crashes++
		wait = coolOff(p.crashes)
		p.due = time.Now().Add(wait)
		p.worker = nil
		w.dyno.State, w.dyno.UpdatedAt = to, now()
		p.crashed = w.dyno
	} else if oneOff(w.dyno) {
		to = "complete"
	}
	cr.mu.Unlock()
	cr.say(w, "Process exited with status %d", exit.Code)
	cr.say(w, "State changed from %s to %s", from, to)
	if crashed {
		time.AfterFunc(wait, cr.kick)
	}
}

// finish forgets a worker that has ended.
func (cr *crew) finish(w *worker) {
	cr.mu.Lock()
	delete(cr.others, w)
	cr.mu.Unlock()
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
