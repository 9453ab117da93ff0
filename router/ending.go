package router

import (
	"errors"
	"net/http"
	"time"
)

// blame says whose fault it is that reading from the dyno failed. The router
// itself closes the connection when the client is at fault.
func (x *exchange) blame(conn *dynoConn) error {
	if x.router.cut.Err() != nil {
		return forcedClose
	}
	if x.ctx.Err() != nil && x.upload.started {
		<-x.upload.done // net/http ends the context before the upload knows why
	}
	if err := x.upload.fault(); err != nil {
		return err
	}
	if x.ctx.Err() != nil {
		return x.gone()
	}
	return conn.blame()
}

// gone is why the context ended.
func (x *exchange) gone() error {
	if x.router.cut.Err() != nil {
		return forcedClose
	}
	return clientInterrupted
}

// finish answers what can still be answered and writes the log line.
func (x *exchange) finish(err error) {
	var c code
	switch {
	case err == nil:
	case errors.As(err, &c):
		x.line.code, x.line.status = c, c.terms().status
	default:
		// The client broke the grammar of its own body, for which Router 2.0 has no code.
		x.line.status = http.StatusBadRequest
	}
	x.router.log(x.app.ID, x.line.String())
	switch {
	case err == nil:
	case x.committed, c != "" && !c.answerable():
		x.upload.abandon(0)
		panic(http.ErrAbortHandler) // net/http cuts the connection
	case c == "":
		x.refuse(http.StatusBadRequest)
	default:
		x.page(x.line.status, c.words(), c.customPage(x.app))
	}
	x.upload.abandon(linger)
}

// refuse answers a request that is not HTTP as the router takes it.
func (x *exchange) refuse(status int) {
	x.upload.closeAfterAnswer()
	x.rc.SetWriteDeadline(time.Now().Add(x.router.timeouts.Idle))
	http.Error(x.w, http.StatusText(status), status)
}

// page sends a page of the router's own. A client that will not have it has
// nothing more to be told.
func (x *exchange) page(status int, say words, custom string) {
	x.upload.closeAfterAnswer()
	x.rc.SetWriteDeadline(time.Now().Add(x.router.timeouts.Idle))
	if err := errors.Join(writePage(x.w, status, say, custom), x.rc.Flush()); err != nil {
		x.upload.abandon(0)
		panic(http.ErrAbortHandler)
	}
}
