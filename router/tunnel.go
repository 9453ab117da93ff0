package router

import (
	"errors"
	"io"
	"net"
	"os"
	"time"
)

// closing is how long a client has to end its side of a tunnel after the
// dyno ended its own.
const closing = 5 * time.Second

// tunnel turns the exchange into a pipe of bytes, a WebSocket say, after the
// dyno agreed to switch protocols. It ends when both sides have, or when
// nothing went either way for Idle.
func (x *exchange) tunnel(d *dynoConn) error {
	c := x.conn
	x.closes = true
	if x.upload != nil {
		x.upload.settle()
		if err := x.upload.fault(); err != nil {
			return err
		}
	}
	x.committed = true
	x.line.status = d.resp.Status
	x.answer = x.appendSwitch(x.answer[:0], d)
	if err := c.send(x.answer); err != nil {
		return err
	}
	x.wait(false) // it is read from now on
	clientEnded := make(chan struct{})
	go func() {
		defer close(clientEnded)
		if x.fromClient(d) != nil {
			d.stop()
		}
	}()
	err := x.fromDyno(d)
	open := true // on the client's side
	select {
	case <-clientEnded:
		open = false
	default:
	}
	if err == nil {
		c.read.set(closing)
	} else {
		c.stop()
	}
	<-clientEnded
	switch {
	case x.aborted() != nil:
		return x.aborted()
	case open && errors.Is(d.fault, os.ErrDeadlineExceeded):
		return idleConnection
	case open && errors.Is(err, clientIdle):
		return clientIdle
	}
	return nil
}

// fromClient copies until the client ends, and then ends the dyno's side.
func (x *exchange) fromClient(d *dynoConn) error {
	c := x.conn
	for {
		if c.from < c.to {
			if _, err := d.Write(c.buf[c.from:c.to]); err != nil {
				return err
			}
			x.received += int64(c.to - c.from)
			c.from = c.to
		}
		n, err := c.Read(c.space())
		c.to += n
		if n == 0 && err != nil {
			return errors.Join(ignoreEOF(err), closeWrite(d.Conn))
		}
	}
}

// fromDyno copies until the dyno ends, and then ends the client's side.
func (x *exchange) fromDyno(d *dynoConn) error {
	for {
		if d.from < d.to {
			if err := x.conn.send(d.unread()); err != nil {
				return err
			}
			d.from = d.to
		}
		if err := d.fill(); err != nil {
			return errors.Join(ignoreEOF(err), closeWrite(x.conn.Conn))
		}
	}
}

func ignoreEOF(err error) error {
	if err == io.EOF {
		return nil
	}
	return err
}

func closeWrite(c net.Conn) error {
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}
