package router

import (
	"context"
	"errors"
	"net"
	"net/http"
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

// repeatable is whether a request that a dyno may have seen can be sent again
// (RFC 9110 §9.2.2). Only such requests go over connections that were idle,
// because a dyno may be closing one at that very moment. Any other gets a new
// connection, and is its last.
func repeatable(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, http.MethodPut, http.MethodDelete:
		return r.Body == http.NoBody || r.ContentLength == 0
	}
	return false
}

// connect gives the request to a dyno: it queues while none is up, leaves out
// those that take no connection, and tries as many as there are, at most ten.
// The table may change meanwhile and is looked at anew each time; a dyno that
// it has no more has cost the request nothing.
func (x *exchange) connect() (*dynoConn, error) {
	overdue := time.NewTimer(time.Until(x.arrival.at.Add(x.router.timeouts.Queue)))
	defer overdue.Stop()
	backoff := firstBackoff
	for attempts := 1; ; {
		changed := x.router.routes.Changed()
		table := x.router.routes.Table()
		app, ok := table.Lookup(x.req.Host)
		if !ok {
			return nil, noWebProcesses // it was destroyed while the request waited
		}
		if err := refusal(app); err != nil {
			return nil, err
		}
		b, current := x.router.fleet.pick(table, app, time.Now())
		if !current {
			continue
		}
		late := allQuarantined
		if b != nil {
			c, listed, err := x.open(b)
			switch {
			case err == nil:
				return c, nil
			case err == errExhausted:
				late = platformError
			case x.ctx.Err() != nil || listed && attempts >= min(maxAttempts, len(app.Dynos)):
				return nil, err
			case listed:
				attempts++
				continue
			default:
				continue
			}
		}
		x.line.dyno, x.line.connect = "", -1
		again := time.After(backoff)
		if len(app.Dynos) == 0 {
			again, late = nil, bootTimeout
		}
		backoff = min(2*backoff, lastBackoff)
		select {
		case <-changed:
		case <-again:
		case <-overdue.C:
			return nil, late
		case <-x.ctx.Done():
			return nil, x.gone()
		}
	}
}

// open takes a pooled connection to the dyno, where the request may have one,
// or makes one. A dyno that takes none is quarantined; listed is then whether
// the table still has it.
func (x *exchange) open(b *backend) (c *dynoConn, listed bool, err error) {
	t := x.router.timeouts
	x.line.dyno = b.dyno.Name
	x.line.connect = 0
	if repeatable(x.req) && !x.anew {
		if c := x.router.fleet.reuse(b); c != nil {
			x.backend = b
			return c, true, nil
		}
	}
	start := time.Now()
	dialer := net.Dialer{Timeout: t.Connect}
	raw, err := dialer.DialContext(x.ctx, "tcp", b.dyno.Addr)
	x.line.connect = time.Since(start)
	if err == nil {
		x.backend = b
		return newDynoConn(raw, t.Idle), true, nil
	}
	x.router.fleet.done(b)
	if x.ctx.Err() != nil {
		return nil, true, x.gone()
	}
	if exhausted(err) {
		return nil, true, errExhausted
	}
	listed = x.router.fleet.quarantine(b, time.Now().Add(t.Quarantine))
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) {
		return nil, listed, connectTimeout
	}
	return nil, listed, connectRefused
}
