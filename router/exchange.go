package router

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	"niwa/router/route"
)

// exchange is one request and its answer.
type exchange struct {
	router  *Router
	w       http.ResponseWriter
	rc      *http.ResponseController
	req     *http.Request
	ctx     context.Context // ends when the client left, or the router gives up
	app     *route.App
	arrival arrival
	line    line

	backend   *backend  // the dyno that has the request; nil before
	began     time.Time // when it got it
	upload    *upload
	anew      bool // an idle connection was no more: it takes a new one
	committed bool // the client has the status
}

// ServeHTTP routes one request. It is the whole of the router behind a
// listener.
func (rt *Router) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !rt.enter() {
		panic(http.ErrAbortHandler)
	}
	defer rt.inFlight.Done()
	x := &exchange{router: rt, w: w, rc: http.NewResponseController(w), req: r, ctx: r.Context()}
	x.upload = newUpload(x)
	if status := refusedStatus(r); status != 0 {
		x.refuse(status)
		return
	}
	app, ok := rt.routes.Table().Lookup(r.Host)
	if !ok {
		x.page(http.StatusNotFound, noSuchApp(), "")
		return
	}
	x.app = app
	x.arrival = arrive(r, time.Now())
	host, _ := route.Host(r.Host)
	x.line = newLine(r, host, x.arrival.requestID, x.arrival.fwd)
	x.finish(x.run())
}

func (x *exchange) run() error {
	if err := refusal(x.app); err != nil {
		return err
	}
	if !x.router.fleet.enter(x.app) {
		return backlogTooDeep
	}
	defer x.router.fleet.leave(x.app)
	for {
		conn, err := x.connect()
		if err != nil {
			return err
		}
		err = x.over(conn)
		x.router.fleet.done(x.backend)
		if err != errStale {
			return err
		}
		x.anew, x.upload = true, newUpload(x)
	}
}

// over has the exchange over a connection, and sees to what becomes of that.
func (x *exchange) over(conn *dynoConn) error {
	x.began = time.Now()
	stop := context.AfterFunc(x.ctx, func() { conn.Close() })
	clean, err := x.talk(conn)
	x.line.service = time.Since(x.began)
	if x.line.bytes = 0; x.committed {
		x.line.bytes = conn.used()
	}
	switch {
	case !stop() || !clean || !x.upload.complete():
		conn.Close()
	case conn.last:
		go conn.hangUp()
	default:
		x.router.fleet.keep(x.backend, conn, x.router.timeouts.KeepAlive)
	}
	return err
}

// talk sends the request and relays the answer; the two overlap. clean is
// whether the answer came to its end and nothing came after it.
func (x *exchange) talk(conn *dynoConn) (clean bool, err error) {
	upgrade, _ := upgradeWanted(x.req)
	x.upload.start(conn, x.arrival.forwarded(x.req, upgrade))
	resp, err := x.answer(conn)
	if err != nil {
		if conn.stale() && x.ctx.Err() == nil {
			return false, errStale
		}
		return false, x.blame(conn)
	}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		if upgrade == "" {
			return false, poorlyFormatted
		}
		return false, x.tunnel(conn, resp)
	}
	if err := x.relay(conn, resp); err != nil {
		return false, err
	}
	conn.last = resp.Close || !repeatable(x.req)
	return conn.in.Buffered() == 0, nil
}

// answer reads the header of the answer, passing on the 1xx before it.
func (x *exchange) answer(conn *dynoConn) (*http.Response, error) {
	for range maxInformational {
		resp, err := http.ReadResponse(conn.in, &http.Request{Method: x.req.Method})
		if err != nil {
			return nil, err
		}
		if resp.ProtoMajor != 1 || resp.StatusCode < 100 {
			return nil, poorlyFormatted
		}
		if resp.StatusCode >= 200 || resp.StatusCode == http.StatusSwitchingProtocols {
			conn.inHead = false
			return resp, nil
		}
		if x.req.ProtoAtLeast(1, 1) {
			x.rc.SetWriteDeadline(time.Now().Add(x.router.timeouts.Idle))
			answered(x.w.Header(), resp, x.req)
			x.w.WriteHeader(resp.StatusCode)
			clear(x.w.Header())
		}
	}
	return nil, poorlyFormatted
}

// relay streams the answer to the client, each piece as it comes.
func (x *exchange) relay(conn *dynoConn, resp *http.Response) error {
	answered(x.w.Header(), resp, x.req)
	x.upload.closeAfterAnswer()
	x.committed = true
	x.line.status = resp.StatusCode
	x.w.WriteHeader(resp.StatusCode)
	if conn.in.Buffered() == 0 {
		if err := x.send(nil); err != nil {
			return err
		}
	}
	buf := x.router.buffers.Get().(*[32 << 10]byte)
	defer x.router.buffers.Put(buf)
	for {
		n, readErr := resp.Body.Read(buf[:])
		if n > 0 || readErr == io.EOF {
			if err := x.send(buf[:n]); err != nil {
				return err
			}
		}
		if readErr == io.EOF {
			x.trailers(resp)
			return nil
		}
		if readErr != nil {
			return x.blame(conn)
		}
	}
}

// trailers sets what net/http sends after a chunked body.
func (x *exchange) trailers(resp *http.Response) {
	for name, values := range resp.Trailer {
		for _, value := range values {
			x.w.Header().Add(http.TrailerPrefix+name, value)
		}
	}
}

// send writes to the client at once, giving it Idle to take the bytes.
func (x *exchange) send(p []byte) error {
	start := time.Now()
	x.rc.SetWriteDeadline(start.Add(x.router.timeouts.Idle))
	var err error
	if len(p) > 0 {
		_, err = x.w.Write(p)
	}
	if err == nil {
		err = x.rc.Flush()
	}
	switch {
	case err == nil:
		return nil
	case x.router.cut.Err() != nil:
		return forcedClose
	case errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) >= x.router.timeouts.Idle:
		return clientIdle
	}
	return clientInterrupted
}
