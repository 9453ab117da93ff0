package router

import (
	"context"
	"errors"
	"net"
	"os"
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

// connect gives the request to a dyno: it queues while none is up, leaves out
// those that take no connection, and tries as many as there are, at most ten.
// The table may change meanwhile and is looked at anew each time.
func (x *exchange) connect() (*dynoConn, error) {
	overdue := time.NewTimer(x.router.timeouts.Queue)
	defer overdue.Stop()
	backoff := firstBackoff
	for attempts := 1; ; {
		changed := x.router.routes.Changed()
		app, ok := x.router.routes.Table().Lookup(x.req.Host)
		if !ok {
			return nil, noWebProcesses // it was destroyed while the request waited
		}
		if err := refusal(app); err != nil {
			return nil, err
		}
		if b := x.router.fleet.pick(app, time.Now()); b != nil {
			c, err := x.open(b)
			if err == nil || attempts >= min(maxAttempts, len(app.Dynos)) || x.ctx.Err() != nil {
				return c, err
			}
			attempts++
			continue
		}
		x.line.dyno, x.line.connect = "", -1
		wait, late := backoff, allQuarantined
		if len(app.Dynos) == 0 {
			wait, late = x.router.timeouts.Queue, bootTimeout
		}
		backoff = min(2*backoff, lastBackoff)
		select {
		case <-changed:
		case <-time.After(wait):
		case <-overdue.C:
			return nil, late
		case <-x.ctx.Done():
			return nil, x.gone()
		}
	}
}

// open takes a pooled connection to the dyno or makes one. A dyno that takes
// none is quarantined.
func (x *exchange) open(b *backend) (*dynoConn, error) {
	t := x.router.timeouts
	x.line.dyno = b.dyno.Name
	x.line.connect = 0
	if c := x.router.fleet.reuse(b); c != nil {
		x.backend = b
		return c, nil
	}
	start := time.Now()
	dialer := net.Dialer{Timeout: t.Connect}
	raw, err := dialer.DialContext(x.ctx, "tcp", b.dyno.Addr)
	x.line.connect = time.Since(start)
	if err == nil {
		x.backend = b
		return newDynoConn(raw, t.Idle), nil
	}
	x.router.fleet.done(b)
	if x.ctx.Err() != nil {
		return nil, x.gone()
	}
	x.router.fleet.quarantine(b, time.Now().Add(t.Quarantine))
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) {
		return nil, connectTimeout
	}
	return nil, connectRefused
}
