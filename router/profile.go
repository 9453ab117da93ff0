package router

import (
	"bytes"
	"time"

	"niwa/router/route"
	"niwa/router/wire"
)

// profile is a generation of Heroku's router: what it calls itself, and in what
// the two differ (https://devcenter.heroku.com/articles/http-routing).
type profile struct {
	server   string // of an answer that names none
	via      string
	once     bool // a connection to a dyno serves one request
	requests int  // what a client's connection serves; 0 is any number
	times    bool // the dyno is told Connect-Time and Total-Route-Time
	http1    bool // clients speak nothing later
	faults   bool // what a client does wrong is logged, as H26
	terse    bool // the log has http or https as the protocol, no version, and fwd in quotes
}

// profileOf is Router 2.0 unless the app is on the legacy router.
func profileOf(app *route.App) profile {
	if app == nil || !app.Routing.Legacy {
		return profile{server: "Heroku", via: "heroku-router", once: app != nil && app.Routing.NoKeepAlive}
	}
	return profile{server: "Cowboy", via: "vegur", once: true, requests: 100, times: true, http1: true, faults: true, terse: true}
}

// assign makes the request the app's.
func (x *exchange) assign(app *route.App) {
	x.app, x.profile = app, profileOf(app)
	// Where no connection was idle before, none swallows a request.
	x.repeatable = x.repeatable && !x.profile.once
	if x.served++; x.served == x.profile.requests {
		x.closes = true
	}
	x.expects = app.Routing.EndToEndContinue && x.upload != nil && x.conn.req.Continue
	x.continued = false
}

// unfit is why the app takes no request that came in this way, or nil.
func (x *exchange) unfit() error {
	if x.profile.http1 && x.conn.protocol != "" {
		x.line.by = appendQuoted(append(x.line.by, " agent="...), x.agent())
		return misdirected // over a connection of HTTP/2 that was made for another host
	}
	if x.mismatched() {
		return certMismatch
	}
	return x.join()
}

// agent is the User-Agent.
func (x *exchange) agent() []byte {
	r := &x.conn.req
	for _, f := range r.Fields() {
		if bytes.EqualFold(r.Name(f), []byte("User-Agent")) {
			return r.Value(f)
		}
	}
	return nil
}

// appendTimes appends what the dyno is told of how long the way to it took: to
// connect, which is nothing where that was done before, and until then.
func (x *exchange) appendTimes(dst []byte) []byte {
	connect := max(x.line.connect, 0)
	dst = appendNumber(dst, "Connect-Time: ", connect.Milliseconds())
	return appendNumber(dst, "Total-Route-Time: ", max(time.Since(x.at)-connect, 0).Milliseconds())
}

// logFault logs a head that is no request, if it has told whose it was to be,
// and the app is one of which such is logged.
func (x *exchange) logFault(fault *wire.RequestError) {
	c := badHeader
	switch fault.Status {
	case badHeader.terms().status:
	case unmetExpectation.terms().status:
		c = unmetExpectation
	default:
		return
	}
	x.at, x.host = time.Now(), string(x.conn.req.Host())
	app, ok := x.rt.routes.Lookup(x.host)
	if !ok || !profileOf(app).faults {
		return
	}
	x.app, x.profile = app, profileOf(app)
	x.beginLine()
	x.line.code, x.line.status = c, fault.Status
	x.countIn()
	x.rt.log(app.ID, x.line.text())
	x.countOut()
}
