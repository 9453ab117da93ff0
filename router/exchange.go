package router

import (
	"context"
	"errors"
	"sync"
	"time"

	"niwa/router/metrics"
	"niwa/router/route"
	"niwa/router/wire"
)

// exchange is one request and its answer. A connection has one at a time, and
// uses it again.
type exchange struct {
	*scratch
	rt   *Router
	conn *conn

	at         time.Time // when the request arrived
	host       string    // of its Host, as it came; kept, since the next is likely the same
	app        *route.App
	profile    profile // of the app
	repeatable bool
	isHead     bool
	expects    bool    // the dyno is to say whether the client goes on
	continued  bool    // and said so
	served     int     // requests of the connection
	received   int64   // bytes of the request, as they came
	among      string  // the id of the app that it is counted with
	body       []byte  // all of it, where it was here with the head
	upload     *upload // of a body that was not; else nil

	counted *metrics.App // of the app that was asked for last

	backend   *backend  // the dyno that has the request; nil before
	began     time.Time // when it got it
	anew      bool      // an idle connection was no more: it takes a new one
	committed bool      // the client has the status
	closes    bool      // the client's connection ends with the answer

	mu     sync.Mutex // guards what is below from who sweeps
	waits  bool       // nobody reads from the client
	dyno   *dynoConn  // in use
	cause  error      // why it was given up
	giveUp context.CancelFunc
}

// serve serves the request whose head the connection has read. It is false when
// the connection is to end.
func (x *exchange) serve() bool {
	x.begin()
	app, ok := x.rt.routes.Lookup(x.host)
	if !ok {
		x.rt.metrics.NoSuchApp()
		return x.page(404, noSuchApp(), "")
	}
	x.assign(app)
	x.badge = x.appendBadge(x.badge[:0])
	x.beginLine()
	x.countIn()
	x.wait(true)
	keep := x.finish(x.run())
	x.wait(false)
	x.countOut()
	return keep
}

func (x *exchange) begin() {
	r := &x.conn.req
	x.at = time.Now()
	if string(r.Host()) != x.host {
		x.host = string(r.Host())
	}
	x.isHead = string(r.Method()) == "HEAD"
	x.repeatable = isRepeatable(r)
	x.closes = r.Close || r.Ambiguous() && !x.rt.lenient || x.rt.draining.Load()
	x.app, x.profile, x.backend, x.anew, x.committed = nil, profileOf(nil), nil, false, false
	x.body, x.upload = x.takeBody()
	x.received += int64(len(x.body))
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.cause = nil; x.rt.cut.Err() != nil {
		x.cause = forcedClose // all that there were have been given up already
	}
}

// wait says whether nobody reads from the client, so that who sweeps must see
// it leave.
func (x *exchange) wait(waits bool) {
	x.mu.Lock()
	x.waits = waits
	x.mu.Unlock()
}

// run gives the request to a dyno, to another when the first took no
// connection, and again when an idle connection was no more.
func (x *exchange) run() error {
	if err := errors.Join(x.unfit(), refusal(x.app)); err != nil {
		return err
	}
	counted := x.rt.fleet.enter(x.app)
	if counted == nil {
		return backlogTooDeep
	}
	defer x.rt.fleet.leave(counted)
	for {
		d, err := x.connect()
		if err != nil {
			return err
		}
		x.request = append(x.appendRequest(x.request[:0]), x.body...)
		spare, err := x.over(d)
		x.rt.fleet.done(x.backend, spare)
		if err != errStale {
			return err
		}
		x.anew = true
	}
}

// over has the exchange over a connection. It is to spare when the next request
// can have it.
func (x *exchange) over(d *dynoConn) (spare *dynoConn, err error) {
	x.began = time.Now()
	if err := x.attach(d); err != nil {
		d.Close()
		return nil, err
	}
	clean, err := x.talk(d)
	clean = x.detach() && clean
	x.line.service = time.Since(x.began)
	if x.line.bytes = 0; x.committed {
		x.line.bytes = d.used()
	}
	switch {
	case !clean || !x.upload.complete():
		d.Close()
	case d.last:
		go d.hangUp()
	default:
		spare = d
	}
	return spare, err
}

// attach lets who gives the exchange up reach the connection to the dyno. It
// fails when that has happened.
func (x *exchange) attach(d *dynoConn) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.dyno = d
	return x.cause
}

// detach undoes it. It is false when the connection was stopped meanwhile, be it
// after the last byte: it is of no use to another request.
func (x *exchange) detach() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.dyno = nil
	return x.cause == nil
}

// abort gives the exchange up. x.mu is held.
func (x *exchange) abort(cause error) {
	if x.cause != nil {
		return
	}
	x.cause = cause
	if x.dyno != nil {
		x.dyno.stop()
	}
	if x.giveUp != nil {
		x.giveUp()
	}
}

// aborted is why the exchange was given up, or nil.
func (x *exchange) aborted() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.cause
}

// talk sends the request and relays the answer; the two overlap. clean is
// whether the answer came to its end and nothing came after it.
func (x *exchange) talk(d *dynoConn) (clean bool, err error) {
	if x.upload == nil {
		err = d.exchange(x.request)
	} else if err = x.upload.start(d, x.request); err == nil {
		err = d.fill()
	}
	if err == nil {
		err = x.head(d)
	}
	if err != nil {
		if d.stale() && x.repeatable && x.aborted() == nil {
			return false, errStale
		}
		return false, x.blame(d, err)
	}
	x.closes = x.closes || x.expects && !x.continued
	if d.resp.Status == 101 {
		if x.conn.req.Upgrade == nil {
			return false, poorlyFormatted
		}
		return false, x.tunnel(d)
	}
	if err := x.relay(d); err != nil {
		return false, err
	}
	d.last = d.resp.Close || !x.repeatable
	return d.from == d.to && !d.resp.Ambiguous(), nil
}

// head reads the head of the answer, passing on the 1xx before it.
func (x *exchange) head(d *dynoConn) error {
	for range maxInformational {
		if err := d.head(); err != nil {
			return err
		}
		if d.resp.Status >= 200 || d.resp.Status == 101 {
			return nil
		}
		if d.resp.Status == 100 && x.expects {
			if err := x.passContinue(); err != nil {
				return err
			}
			continue
		}
		if x.conn.req.Minor == 1 {
			x.answer = x.appendAnswer(x.answer[:0], &d.resp, false, false)
			if err := x.conn.send(x.answer); err != nil {
				return err
			}
		}
	}
	return wire.Malformed
}

// isRepeatable is whether a request that a dyno may have seen can be sent again
// (RFC 9110 §9.2.2). Only such requests go over connections that were idle,
// because a dyno may be closing one at that very moment. Any other gets a new
// connection, and is its last.
func isRepeatable(r *wire.Request) bool {
	if r.Length() != 0 {
		return false
	}
	switch string(r.Method()) {
	case "GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE":
		return true
	}
	return false
}

// blame is what an exchange failed by, when reading from the dyno ended with
// err.
func (x *exchange) blame(d *dynoConn, err error) error {
	if cause := x.aborted(); cause != nil {
		return cause
	}
	if fault := x.upload.fault(); fault != nil {
		return fault
	}
	if own, ok := errors.AsType[code](err); ok {
		return own
	}
	if malformed, ok := errors.AsType[wire.ResponseError](err); ok {
		return codeOf(malformed)
	}
	return d.blame()
}
