package router

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"os"
	"sync"
	"time"

	"golang.org/x/net/http/httpguts"
)

// linger is how long a client that is still sending may go on after the
// answer, so that closing does not destroy the answer on its way.
const linger = 500 * time.Millisecond

// errBadBody is a request body that breaks the grammar of chunks.
var errBadBody = errors.New("malformed request body")

// upload is the way of the request to the dyno: inline when there is no body,
// else on a goroutine of its own while the answer may already be coming back.
type upload struct {
	x       *exchange
	body    bool
	started bool
	done    chan struct{} // once started, closed when nothing more will be read from the client

	mu        sync.Mutex
	lingering bool
	clientErr error // what the client did wrong
	whole     bool  // the client has sent it all
	given     bool  // and the dyno has it
}

func newUpload(x *exchange) *upload {
	u := &upload{x: x, body: x.req.Body != http.NoBody && x.req.ContentLength != 0, done: make(chan struct{})}
	if u.body {
		// Both bounds hold also where the body is never read here: net/http
		// then reads some of it to keep the answer safe.
		x.rc.EnableFullDuplex()
		x.rc.SetReadDeadline(time.Now().Add(x.router.timeouts.Idle))
	}
	u.whole = !u.body
	return u
}

// start sends the head, and the body behind it. With a body it returns at
// once. A client that asks first is told to go on.
func (u *upload) start(conn *dynoConn, header http.Header) {
	u.started = true
	if u.body && u.x.req.ProtoAtLeast(1, 1) && httpguts.HeaderValuesContainsToken(u.x.req.Header["Expect"], "100-continue") {
		u.x.rc.SetWriteDeadline(time.Now().Add(u.x.router.timeouts.Idle))
		u.x.w.WriteHeader(http.StatusContinue)
	}
	out := bufio.NewWriter(conn)
	writeHead(out, u.x.req, header)
	if !u.body {
		defer close(u.done)
		u.sent(conn, out.Flush())
		return
	}
	go func() {
		defer close(u.done)
		err := out.Flush()
		if err == nil {
			err = u.copy(out)
		}
		u.sent(conn, err)
	}()
}

func writeHead(out *bufio.Writer, r *http.Request, h http.Header) {
	out.WriteString(r.Method + " " + target(r) + " HTTP/1.1\r\nHost: " + r.Host + "\r\n")
	if r.ContentLength < 0 {
		out.WriteString("Transfer-Encoding: chunked\r\n")
	}
	h.Write(out)
	out.WriteString("\r\n")
}

// sent takes note of how sending ended and starts the dyno's clock.
func (u *upload) sent(conn *dynoConn, err error) {
	u.mu.Lock()
	u.given = err == nil
	atFault := u.clientErr != nil
	u.mu.Unlock()
	switch {
	case atFault:
		conn.Close() // and so the reader of the answer learns of it
	case errors.Is(err, os.ErrDeadlineExceeded):
		conn.awaitAnswer(0) // it had its time and did not even read
	default:
		// Also after an error: a dyno that reads no more may have answered.
		conn.awaitAnswer(u.x.router.timeouts.FirstByte)
	}
	if err != nil && !atFault && u.body {
		u.discard()
	}
}

// copy streams the body: each piece is with the dyno before the next is read.
func (u *upload) copy(out *bufio.Writer) error {
	var to io.Writer = out
	var chunks io.WriteCloser
	if u.x.req.ContentLength < 0 {
		chunks = httputil.NewChunkedWriter(out)
		to = chunks
	}
	buf := u.x.router.buffers.Get().(*[32 << 10]byte)
	defer u.x.router.buffers.Put(buf)
	for {
		n, readErr := u.read(buf[:])
		if _, err := to.Write(buf[:n]); err != nil {
			return err
		}
		if readErr == io.EOF && chunks != nil {
			writeTrailers(out, chunks, u.x.req.Trailer)
		}
		if err := out.Flush(); err != nil {
			return err
		}
		if readErr == io.EOF {
			return nil
		}
		if readErr != nil {
			return u.blameClient(readErr)
		}
	}
}

// writeTrailers ends a chunked body. A bufio.Writer keeps its first error
// for the Flush that follows.
func writeTrailers(out *bufio.Writer, chunks io.Closer, trailer http.Header) {
	chunks.Close()
	for name := range trailer {
		if !httpguts.ValidTrailerHeader(name) {
			delete(trailer, name)
		}
	}
	trailer.Write(out)
	out.WriteString("\r\n")
}

// read reads from the client, which has Idle for the next byte.
func (u *upload) read(p []byte) (int, error) {
	u.mu.Lock()
	if !u.lingering {
		u.x.rc.SetReadDeadline(time.Now().Add(u.x.router.timeouts.Idle))
	}
	u.mu.Unlock()
	n, err := u.x.req.Body.Read(p)
	if err == io.EOF {
		u.mu.Lock()
		u.whole = true
		u.mu.Unlock()
	}
	return n, err
}

// discard reads on so that a client which writes all before it reads gets as
// far as the answer. It ends with the body, or when the exchange lingers out.
func (u *upload) discard() {
	buf := u.x.router.buffers.Get().(*[32 << 10]byte)
	defer u.x.router.buffers.Put(buf)
	for {
		if _, err := u.read(buf[:]); err != nil {
			return
		}
	}
}

// blameClient remembers why the body could not be read, unless it is that
// the exchange is over.
func (u *upload) blameClient(err error) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.lingering {
		return err
	}
	var network net.Error
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		u.clientErr = clientIdle
	case errors.As(err, &network), errors.Is(err, io.ErrUnexpectedEOF), u.x.req.ProtoMajor == 2, u.x.ctx.Err() != nil:
		u.clientErr = clientInterrupted
	default:
		u.clientErr = errBadBody
	}
	return err
}

// fault is what the client did wrong, or nil.
func (u *upload) fault() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.clientErr
}

// complete is whether the dyno has the whole request and the upload is over,
// so that its connection can take another.
func (u *upload) complete() bool {
	select {
	case <-u.done:
		return u.given
	default:
		return false
	}
}

// abandon ends the upload of an exchange that is over, at the latest after
// that long. Nothing touches the request after it.
func (u *upload) abandon(after time.Duration) {
	if !u.started {
		return
	}
	u.mu.Lock()
	u.lingering = true
	whole := u.whole
	u.mu.Unlock()
	if !whole {
		u.x.rc.SetReadDeadline(time.Now().Add(after))
	}
	<-u.done
}

// closeAfterAnswer has the client's connection closed after the answer when
// the request has not all been read: what still comes must not be taken for
// the next request.
func (u *upload) closeAfterAnswer() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.x.req.ProtoMajor == 1 && !u.whole {
		u.x.w.Header().Set("Connection", "close")
	}
}
