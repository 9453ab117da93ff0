package router

import (
	"context"
	"errors"
	"net"
	"os"
	"syscall"
	"time"

	"niwa/router/route"
)

const (
	maxAttempts  = 10
	firstBackoff = 50 * time.Millisecond
	lastBackoff  = time.Second
)

// refusal is why an app takes no request now, or nil. An app that is starting
// does: the request waits.
func refusal(app *route.App) error {
	switch app.State {
	case route.Maintenance:
		return maintenanceMode
	case route.Blank:
		return blankApp
	case route.Crashed:
		return appCrashed
	case route.NoDynos:
		return noWebProcesses
	}
	return nil
}

// errStale is an idle connection that the dyno closed while the request was on
// its way: no byte of an answer came.
var errStale = errors.New("the dyno closed an idle connection")

// errExhausted is a connection that the router, not the dyno, had no means for.
var errExhausted = errors.New("no file descriptor or port is free")

func exhausted(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || errors.Is(err, syscall.EADDRNOTAVAIL)
}

// connect gives the request to a dyno: it queues while none is up, leaves out
// those that take no connection, and tries as many as there are, at most ten.
// The table may change meanwhile and is looked at anew each time; a dyno that
// it has no more has cost the request nothing.
func (x *exchange) connect() (*dynoConn, error) {
	for attempts, pause := 1, firstBackoff; ; {
		changed := x.rt.routes.Changed()
		app, ok := x.rt.routes.Lookup(x.host)
		if !ok {
			return nil, noWebProcesses // it was destroyed while the request waited
		}
		if err := refusal(app); err != nil {
			return nil, err
		}
		b, idle, current := x.rt.fleet.pick(app, x.badge, x.repeatable && !x.anew)
		if !current {
			continue
		}
		late := allQuarantined
		if b != nil {
			d, listed, err := x.open(b, idle)
			switch {
			case err == nil:
				return d, nil
			case err == errExhausted:
				late = platformError
			case x.aborted() != nil || listed && attempts >= min(maxAttempts, len(app.Dynos)):
				return nil, err
			case listed:
				attempts++
				continue
			default:
				continue
			}
		}
		x.line.dyno, x.line.connect = "", -1
		if len(app.Dynos) == 0 {
			late = bootTimeout
		}
		if err := x.queue(changed, pause, late); err != nil {
			return nil, err
		}
		pause = min(2*pause, lastBackoff)
	}
}

// queue waits until the table changes, or for a while when there are dynos to
// try again. When the request has waited for too long the error is late.
func (x *exchange) queue(changed <-chan struct{}, pause time.Duration, late code) error {
	ctx, cancel := x.context()
	defer cancel()
	defer x.counted.Queue()()
	overdue := time.NewTimer(time.Until(x.at.Add(x.rt.timeouts.Queue)))
	defer overdue.Stop()
	var again <-chan time.Time
	if late != bootTimeout {
		again = time.After(pause)
	}
	select {
	case <-changed:
	case <-again:
	case <-overdue.C:
		return late
	case <-ctx.Done():
		return x.aborted()
	}
	return nil
}

// context ends when the exchange is given up.
func (x *exchange) context() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.giveUp = cancel; x.cause != nil {
		cancel()
	}
	return ctx, func() {
		x.mu.Lock()
		x.giveUp = nil
		x.mu.Unlock()
		cancel()
	}
}

// open takes the idle connection to the dyno, or makes one. A dyno that takes
// none is quarantined; listed is then whether the table still has it.
func (x *exchange) open(b *backend, idle *dynoConn) (d *dynoConn, listed bool, err error) {
	x.line.dyno = b.dyno.Name
	x.line.connect = 0
	if idle != nil {
		idle.begin()
		idle.reused = true
		x.backend = b
		return idle, true, nil
	}
	ctx, cancel := x.context()
	defer cancel()
	start := time.Now()
	dialer := net.Dialer{Timeout: x.rt.timeouts.Connect}
	raw, err := dialer.DialContext(ctx, "tcp", b.dyno.Addr)
	x.line.connect = time.Since(start)
	if err == nil {
		x.backend = b
		return x.rt.newDynoConn(raw), true, nil
	}
	x.rt.fleet.done(b, nil)
	if cause := x.aborted(); cause != nil {
		return nil, true, cause
	}
	if exhausted(err) {
		return nil, true, errExhausted
	}
	listed = x.rt.fleet.quarantine(b, time.Now().Add(x.rt.timeouts.Quarantine))
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) {
		return nil, listed, connectTimeout
	}
	return nil, listed, connectRefused
}
