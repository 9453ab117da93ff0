package router

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// edge ends HTTP/2, and TLS for it. A stream becomes a connection of HTTP/1.1
// within the process, with one request on it, and is served as any other: what
// a client may say in HTTP/2 only the one parser decides.
type edge struct {
	rt     *Router
	server *http.Server
	conns  chan net.Conn // with TLS done and HTTP/2 agreed on
	begin  sync.Once
	served chan struct{}
	closed chan struct{}
	close  sync.Once
}

// offering has clients of TLS choose between HTTP/2 and HTTP/1.1, where the app
// that they name is one that speaks both.
func (rt *Router) offering(config *tls.Config) *tls.Config {
	if config == nil {
		return nil
	}
	both, old := config.Clone(), config.Clone()
	both.NextProtos, old.NextProtos = []string{"h2", "http/1.1"}, []string{"http/1.1"}
	both.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if config.GetConfigForClient != nil {
			if own, err := config.GetConfigForClient(hello); own != nil || err != nil {
				return own, err
			}
		}
		if app, ok := rt.routes.Lookup(hello.ServerName); ok && profileOf(app).http1 {
			return old, nil
		}
		return nil, nil
	}
	return both
}

func newEdge(rt *Router) *edge {
	e := &edge{rt: rt, conns: make(chan net.Conn), served: make(chan struct{}), closed: make(chan struct{})}
	// TLS has ended before, and so this is the HTTP/2 that is not encrypted.
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	e.server = &http.Server{
		Handler: e, Protocols: protocols, ReadHeaderTimeout: rt.timeouts.Client, IdleTimeout: rt.timeouts.Client,
		HTTP2:                        &http.HTTP2Config{MaxReadFrameSize: bufferSize},
		ErrorLog:                     log.New(io.Discard, "", 0), // what clients do wrong is answered to them
		DisableGeneralOptionsHandler: true,                       // OPTIONS * belongs to the app
		ConnState:                    e.count,
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, connKey{}, c)
		},
	}
	return e
}

// connKey is where a stream's context has its connection, a *frames.
type connKey struct{}

// serveTLS does the handshake and gives the connection to who speaks what was
// agreed on.
func (rt *Router) serveTLS(raw net.Conn, leave func()) {
	c := tls.Server(raw, rt.tls)
	ctx, cancel := context.WithTimeout(rt.cut, rt.timeouts.Client)
	err := c.HandshakeContext(ctx)
	cancel()
	if err != nil {
		rt.metrics.Clients.HandshakeFailed()
		c.Close()
		leave()
		return
	}
	state := c.ConnectionState()
	rt.metrics.Clients.Handshake(state.Version)
	if state.NegotiatedProtocol == "h2" {
		rt.edge.take(newFrames(c, leave))
		return
	}
	defer leave()
	socket := rawConn(raw)
	rt.newConn(c, originOf(c, &state), nil, func() bool { return socket != nil && hungUp(socket) }).serve()
}

// take serves a connection that speaks HTTP/2.
func (e *edge) take(c net.Conn) {
	e.begin.Do(func() {
		go func() {
			defer close(e.served)
			_ = e.server.Serve(e) // it ends as edge.Accept does, at shutdown
		}()
	})
	select {
	case e.conns <- c:
	case <-e.closed:
		c.Close()
	}
}

// Accept, Close and Addr make the edge the listener of its own server.
func (e *edge) Accept() (net.Conn, error) {
	select {
	case c := <-e.conns:
		return c, nil
	case <-e.closed:
		return nil, net.ErrClosed
	}
}

// Close ends Accept.
func (e *edge) Close() error {
	e.close.Do(func() { close(e.closed) })
	return nil
}

// Addr is no address: the connections have theirs.
func (e *edge) Addr() net.Addr { return &net.TCPAddr{} }

// shutdown lets streams end until ctx does, and then cuts them.
func (e *edge) shutdown(ctx context.Context) error {
	err := errors.Join(e.Close(), e.server.Shutdown(ctx))
	if err != nil {
		e.rt.cutAll()
		err = errors.Join(err, e.server.Close())
	}
	e.begin.Do(func() { close(e.served) })
	<-e.served
	return err
}

// ServeHTTP has a stream served.
func (e *edge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	head, ok := appendHead(nil, r)
	if !ok {
		http.Error(w, "the request cannot be said in HTTP/1.1", http.StatusBadRequest)
		return
	}
	inner, outer := net.Pipe()
	defer outer.Close()
	c := r.Context().Value(connKey{}).(*frames)
	o := originOf(c, &c.tls)
	o.protocol, o.via = "http2.0", "2.0"
	served := make(chan struct{})
	go func() {
		defer close(served)
		e.rt.newConn(inner, o, nil, func() bool { return r.Context().Err() != nil }).serve()
	}()
	stop := context.AfterFunc(r.Context(), func() { outer.Close() })
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		if sendStream(outer, head, r) != nil {
			outer.Close() // and so the answer breaks off
		}
	}()
	err := answerStream(w, bufio.NewReaderSize(outer, bufferSize), r, e.rt.timeouts.Idle)
	stop()
	outer.Close()
	<-served
	if err != nil {
		panic(http.ErrAbortHandler) // the stream is reset
	}
	// The body is read no further; net/http resets what still comes.
	http.NewResponseController(w).SetReadDeadline(time.Unix(1, 0))
	<-sent
}

// appendHead writes the head of a stream as HTTP/1.1 has it. It is false when
// that could be read in another way than it is meant.
func appendHead(dst []byte, r *http.Request) ([]byte, bool) {
	clean := func(s string) bool { return !strings.ContainsAny(s, "\r\n\x00") }
	ok := clean(r.Method) && clean(r.RequestURI) && clean(r.Host) && !strings.ContainsAny(r.Method+r.RequestURI, " ")
	dst = append(dst, r.Method+" "+r.RequestURI+" HTTP/1.1\r\nHost: "+r.Host+"\r\n"...)
	for name, values := range r.Header {
		switch name {
		case "Expect": // net/http says 100 Continue when the body is read
			continue
		case "Host": // said twice, as :authority is another word for it
			ok = ok && len(values) == 1 && strings.EqualFold(values[0], r.Host)
			continue
		}
		for _, value := range values {
			ok = ok && clean(name) && clean(value)
			dst = append(dst, name+": "+value+"\r\n"...)
		}
	}
	for name := range r.Trailer {
		ok = ok && clean(name)
		dst = append(dst, "Trailer: "+name+"\r\n"...)
	}
	switch {
	case r.ContentLength < 0:
		dst = append(dst, "Transfer-Encoding: chunked\r\n"...)
	case r.ContentLength > 0 && r.Header.Get("Content-Length") == "":
		dst = appendLength(dst, r.ContentLength)
	}
	return append(dst, "Connection: close\r\n\r\n"...), ok
}
