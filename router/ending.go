package router

import (
	"errors"
	"net/http"

	"niwa/router/wire"
)

// refuse answers a request that is not HTTP as the router takes it. The
// connection ends with it.
func (c *conn) refuse(err error) {
	status, reason := http.StatusBadRequest, ""
	if refused, ok := errors.AsType[*wire.RequestError](err); ok {
		status, reason = refused.Status, refused.Reason
	}
	out := appendStatus(nil, status, []byte(http.StatusText(status)))
	out = appendDate(append(out, "Server: "+serverName+"\r\nContent-Type: text/plain; charset=utf-8\r\n"...))
	out = appendLength(out, len(reason)+1)
	out = append(append(append(appendConnection(out, true), "\r\n"...), reason...), '\n')
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
	}
	x.rt.log(x.app.ID, x.line.text())
	switch {
	case err == nil:
		keep = !x.closes
	case x.committed, c != "" && !c.answerable():
		x.upload.abandon(0)
		return false // the client sees that the answer breaks off
	case c == "":
		x.conn.refuse(&wire.RequestError{Status: http.StatusBadRequest, Reason: "the body is not in chunks"})
	default:
		keep = x.page(x.line.status, c.words(), c.customPage(x.app))
	}
	if !x.upload.ended() {
		x.conn.unread, keep = true, false
	}
	x.upload.abandon(linger)
	return keep
}
