package router

import (
	"errors"
	"io"
	"strconv"

	"niwa/router/wire"
)

// relay streams the answer to the client, each piece as it comes.
func (x *exchange) relay(d *dynoConn) error {
	r := &d.resp
	framing := r.Framing(x.isHead)
	old := x.conn.req.Minor == 0 // a client that cannot read chunks
	uncounted := framing == wire.Chunked || framing == wire.UntilClose
	chunked := !old && (uncounted || x.isHead && r.SaysChunked())
	if old && uncounted || !x.upload.ended() || x.rt.draining.Load() {
		x.closes = true
	}
	x.answer = x.appendAnswer(x.answer[:0], r, chunked, x.closes)
	x.committed = true
	x.line.status = r.Status
	switch framing {
	case wire.Counted:
		return x.relayCounted(d, r.Length())
	case wire.Chunked:
		return x.relayChunks(d, wire.Chunks{Bare: old, Drop: true})
	case wire.UntilClose:
		return x.relayRest(d, chunked)
	}
	return x.conn.send(x.answer)
}

// relayCounted relays a body of that many bytes. What is here of it goes with
// the head.
func (x *exchange) relayCounted(d *dynoConn, left int64) error {
	if left > bufferSize {
		defer x.widen(d)()
	}
	for out := x.answer; ; out = nil {
		piece := d.unread()
		piece = piece[:min(int64(len(piece)), left)]
		d.from += len(piece)
		left -= int64(len(piece))
		if out != nil {
			x.answer = append(out, piece...)
			piece = x.answer
		}
		if err := x.conn.send(piece); err != nil {
			return err
		}
		if left == 0 {
			return nil
		}
		if err := d.fill(); err != nil {
			return x.blame(d, err)
		}
	}
}

// widen has the dyno's answer read in larger pieces, until what it returns is
// called. Nothing is done where a head has made the buffer large enough.
func (x *exchange) widen(d *dynoConn) (restore func()) {
	if len(d.buf) >= largeSize {
		return func() {}
	}
	small := d.buf
	d.buf = x.rt.large.get()
	d.to = copy(d.buf, small[d.from:d.to])
	d.from = 0
	return func() {
		x.rt.large.put(d.buf)
		d.buf = small
	}
}

// relayChunks relays a body in chunks, and its trailers.
func (x *exchange) relayChunks(d *dynoConn, chunks wire.Chunks) error {
	defer x.widen(d)()
	for ; ; x.answer = x.answer[:0] {
		out, n, bad := chunks.Append(x.answer, d.unread())
		x.answer = out
		d.from += n
		if len(out) > 0 {
			if err := x.conn.send(out); err != nil {
				return err
			}
		}
		switch {
		case bad != nil:
			return serverInterrupted
		case chunks.Done():
			return nil
		}
		if err := d.fill(); err != nil {
			return x.blame(d, err)
		}
	}
}

// relayRest relays all that comes until the dyno closes. A client that can read
// chunks gets them, and so can tell that it has all.
func (x *exchange) relayRest(d *dynoConn, chunked bool) error {
	d.resp.Close = true
	defer x.widen(d)()
	for out := x.answer; ; out = x.answer[:0] {
		piece := d.unread()
		d.from = d.to
		switch {
		case chunked && len(piece) > 0:
			out = append(strconv.AppendInt(out, int64(len(piece)), 16), "\r\n"...)
			out = append(append(out, piece...), "\r\n"...)
		default:
			out = append(out, piece...)
		}
		x.answer = out
		if len(out) > 0 {
			if err := x.conn.send(out); err != nil {
				return err
			}
		}
		err := d.fill()
		if errors.Is(err, io.EOF) && x.aborted() == nil {
			break
		}
		if err != nil {
			return x.blame(d, err)
		}
	}
	if !chunked {
		return nil
	}
	return x.conn.send([]byte("0\r\n\r\n"))
}
