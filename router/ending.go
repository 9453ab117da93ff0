package router

import (
	"errors"
	"net/http"

	"niwa/router/wire"
)

// refuse answers a request that is not HTTP as the router takes it. The
// connection ends with it.
func (c *conn) refuse(err error) {
	c.claim()
	x := &c.exchange
	x.profile = profileOf(nil)
	fault, ok := errors.AsType[*wire.RequestError](err)
	if !ok {
		fault = &wire.RequestError{Status: http.StatusBadRequest}
	}
	c.rt.metrics.Refused(fault.Status)
	x.logFault(fault)
	c.tell(fault, x.profile)
}

// tell says why a request is none.
func (c *conn) tell(fault *wire.RequestError, p profile) {
	out := appendStatus(nil, fault.Status, []byte(http.StatusText(fault.Status)))
	out = appendDate(append(appendServer(out, p.server), "Content-Type: text/plain; charset=utf-8\r\n"...))
	out = appendLength(out, len(fault.Reason)+1)
	out = append(append(append(appendConnection(out, true), "\r\n"...), fault.Reason...), '\n')
	c.unread = true
	if c.send(out) != nil {
		c.unread = false
	}
}

// finish writes the log line and answers what can still be answered. It is
// false when the connection is to end.
func (x *exchange) finish(err error) (keep bool) {
	c, _ := errors.AsType[code](err)
	switch {
	case err == nil:
	case c != "":
		x.line.code, x.line.status = c, c.terms().status
	default:
		// The client broke the grammar of its own body, for which Router 2.0 has no code.
		x.line.status = http.StatusBadRequest
		if x.profile.faults {
			x.line.code = badChunk
		}
	}
	x.rt.log(x.app.ID, x.line.text())
	switch {
	case err == nil:
		keep = !x.closes
	case x.committed, c != "" && !c.answerable():
		x.upload.abandon(0)
		return false // the client sees that the answer breaks off
	case c == "":
		x.conn.tell(&wire.RequestError{Status: http.StatusBadRequest, Reason: "the body is not in chunks"}, x.profile)
	default:
		keep = x.page(x.line.status, c.words(), c.customPage(x.app))
	}
	if !x.upload.ended() {
		x.conn.unread, keep = true, false
	}
	x.upload.abandon(linger)
	return keep
}
