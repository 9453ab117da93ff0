package router

import (
	"errors"
	"os"
	"sync"
	"time"

	"niwa/router/wire"
)

// linger is how long a client that is still sending may go on after the
// answer, so that closing does not destroy the answer on its way.
const linger = 500 * time.Millisecond

// errBadBody is a request body that breaks the grammar of chunks.
var errBadBody = errors.New("malformed request body")

// upload is the way of the request's body to the dyno. A body that is here goes
// with the head; any other on a goroutine of its own, while the answer may
// already be coming back.
type upload struct {
	x       *exchange
	left    int64
	chunked bool
	chunks  wire.Chunks
	out     []byte
	began   int64         // by the tower
	taken   int64         // bytes read since
	done    chan struct{} // nil before the start; closed when nothing more will be read from the client

	mu        sync.Mutex
	asks      bool // the client waits for the dyno to say 100 Continue
	begun     bool // and yet part of the body is here
	lingering bool
	clientErr error // what the client did wrong
	read      bool  // the client has sent it all
	given     bool  // and the dyno has it
}

// takeBody takes the body from what was read, or else makes its upload.
func (x *exchange) takeBody() ([]byte, *upload) {
	c := x.conn
	length := c.req.Length()
	if length >= 0 && length <= int64(c.to-c.from) && !c.req.Continue {
		c.from += int(length)
		return c.buf[c.from-int(length) : c.from], nil
	}
	return nil, &upload{x: x, left: length, chunked: length < 0}
}

// start sends the head, and the body behind it. A client that asks first is
// told to go on.
func (u *upload) start(d *dynoConn, head []byte) error {
	if u.asks = u.x.expects; !u.asks && u.x.conn.req.Continue {
		if err := u.x.conn.send([]byte(goOn)); err != nil {
			return err
		}
	}
	u.began = u.x.rt.tower.now.Load()
	u.done = make(chan struct{})
	u.x.wait(false)
	go func() {
		defer close(u.done)
		_, err := d.Write(head)
		if err == nil {
			err = u.copy(d)
		}
		u.sent(d, err)
	}()
	return nil
}

// sent takes note of how sending ended and starts the dyno's clock.
func (u *upload) sent(d *dynoConn, err error) {
	u.mu.Lock()
	u.given = err == nil
	atFault := u.clientErr != nil
	u.mu.Unlock()
	switch {
	case atFault:
		d.stop() // and so the reader of the answer learns of it
	case errors.Is(err, os.ErrDeadlineExceeded):
		d.read.interrupt() // it had its time and did not even read
	default:
		// Also after an error: a dyno that reads no more may have answered.
		d.awaitAnswer()
	}
	if err != nil && !atFault {
		u.discard()
	}
	if err == nil {
		u.x.wait(true)
	}
}

// copy streams the body: each piece is with the dyno before the next is read.
func (u *upload) copy(d *dynoConn) error {
	for {
		piece, ended, err := u.piece()
		if len(piece) > 0 {
			if !u.begun {
				u.begin()
			}
			if _, err := d.Write(piece); err != nil {
				return err
			}
		}
		if ended {
			return nil
		}
		if err == nil {
			err = u.readMore()
		}
		if err != nil {
			return u.blameClient(err)
		}
	}
}

// piece takes what is here of the body, as the dyno is to get it.
func (u *upload) piece() (piece []byte, ended bool, err error) {
	c := u.x.conn
	here := c.buf[c.from:c.to]
	if u.chunked {
		var n int
		u.out, n, err = u.chunks.Append(u.out[:0], here)
		c.from += n
		u.x.received += int64(n)
		piece, ended = u.out, u.chunks.Done()
		if err != nil {
			err = errors.Join(errBadBody, err)
		}
	} else {
		piece = here[:min(int64(len(here)), u.left)]
		c.from += len(piece)
		u.x.received += int64(len(piece))
		u.left -= int64(len(piece))
		ended = u.left == 0
	}
	if ended {
		u.mu.Lock()
		u.read = true
		u.mu.Unlock()
	}
	return piece, ended, err
}

// readMore reads from the client, which has Idle for the next byte.
func (u *upload) readMore() error {
	c := u.x.conn
	u.mu.Lock()
	if !u.lingering {
		c.read.set(u.x.rt.timeouts.Idle)
	}
	u.mu.Unlock()
	n, err := c.Read(c.space())
	c.to += n
	u.taken += int64(n)
	switch {
	case n == 0:
		return err
	case u.crawls():
		return os.ErrDeadlineExceeded
	}
	return nil
}

// discard reads on so that a client which writes all before it reads gets as
// far as the answer. It ends with the body, or when the exchange lingers out.
func (u *upload) discard() {
	for {
		_, ended, err := u.piece()
		if ended || err != nil || u.readMore() != nil {
			return
		}
	}
}

// blameClient remembers why the body could not be read, unless it is that
// the exchange is over.
func (u *upload) blameClient(err error) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case u.lingering:
	case errors.Is(err, errBadBody):
		u.clientErr = errBadBody
	case errors.Is(err, os.ErrDeadlineExceeded) && u.asks && !u.begun:
		u.clientErr = idleConnection // neither side made a move
	case errors.Is(err, os.ErrDeadlineExceeded):
		u.clientErr = clientIdle
	default:
		u.clientErr = clientInterrupted
	}
	return err
}

// fault is what the client did wrong, or nil.
func (u *upload) fault() error {
	if u == nil {
		return nil
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.clientErr
}

// ended is whether nothing more of the request will come from the client.
func (u *upload) ended() bool {
	if u == nil {
		return true
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.read
}

// complete is whether the dyno has the whole request and the upload is over,
// so that its connection can take another.
func (u *upload) complete() bool {
	if u == nil {
		return true
	}
	if u.done == nil {
		return false
	}
	select {
	case <-u.done:
		return u.given
	default:
		return false
	}
}

// abandon ends the upload of an exchange that is over, at the latest after
// that long. Nothing reads from the client after it.
func (u *upload) abandon(after time.Duration) {
	if u == nil || u.done == nil {
		return
	}
	u.mu.Lock()
	u.lingering = true
	if !u.read {
		u.x.conn.read.set(after)
	}
	u.mu.Unlock()
	<-u.done
	u.x.conn.read.clear()
}
