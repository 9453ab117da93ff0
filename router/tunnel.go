package router

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"time"
)

// closing is how long a client has to end its side of a tunnel after the
// dyno ended its own.
const closing = 5 * time.Second

// tunnel turns the exchange into a pipe of bytes, a WebSocket say, after the
// dyno agreed to switch protocols. It ends when both sides have, or when
// nothing went either way for Idle.
func (x *exchange) tunnel(conn *dynoConn, resp *http.Response) error {
	<-x.upload.done
	if err := x.upload.fault(); err != nil {
		return err
	}
	client, buffered, err := x.rc.Hijack()
	if err != nil {
		return clientInterrupted
	}
	defer client.Close()
	defer context.AfterFunc(x.ctx, func() { client.Close() })()
	x.committed = true
	x.line.status = resp.StatusCode

	protocol := resp.Header.Get("Upgrade")
	header := make(http.Header)
	answered(header, resp, x.req)
	header.Set("Connection", "Upgrade")
	header.Set("Upgrade", protocol)
	buffered.WriteString("HTTP/1.1 101 Switching Protocols\r\n")
	header.Write(buffered)
	buffered.WriteString("\r\n")
	client.SetWriteDeadline(time.Now().Add(x.router.timeouts.Idle))
	if err := buffered.Flush(); err != nil {
		return clientInterrupted
	}

	// Past net/http's reader, which takes the end of the client's side for the
	// end of the client.
	early, err := buffered.Peek(buffered.Reader.Buffered())
	if err != nil {
		return clientInterrupted
	}
	fromClient := io.MultiReader(bytes.NewReader(early), client)
	clientEnded := make(chan struct{})
	go func() {
		defer close(clientEnded)
		if x.pipe(conn, fromClient, conn.Conn) != nil {
			conn.Close()
		}
	}()
	err = x.pipe(writeWithin{client, x.router.timeouts.Idle}, conn.in, client)
	open := true // on the client's side
	select {
	case <-clientEnded:
		open = false
	default:
	}
	if err == nil {
		client.SetReadDeadline(time.Now().Add(closing))
	} else {
		client.Close()
	}
	<-clientEnded
	switch {
	case x.router.cut.Err() != nil:
		return forcedClose
	case open && errors.Is(conn.fault, os.ErrDeadlineExceeded):
		return idleConnection
	case open && errors.Is(err, os.ErrDeadlineExceeded):
		return clientIdle
	}
	return nil
}

// pipe copies until src ends, and then ends the writing side of to.
func (x *exchange) pipe(dst io.Writer, src io.Reader, to net.Conn) error {
	buf := x.router.buffers.Get().(*[32 << 10]byte)
	defer x.router.buffers.Put(buf)
	// Bare, or CopyBuffer would find ways around the deadlines of both.
	_, err := io.CopyBuffer(struct{ io.Writer }{dst}, struct{ io.Reader }{src}, buf[:])
	if half, ok := to.(interface{ CloseWrite() error }); ok && err == nil {
		return half.CloseWrite()
	}
	return err
}

// writeWithin gives each write to a connection that long.
type writeWithin struct {
	net.Conn
	limit time.Duration
}

func (w writeWithin) Write(p []byte) (int, error) {
	w.SetWriteDeadline(time.Now().Add(w.limit))
	return w.Conn.Write(p)
}
