package metrics

import (
	"crypto/tls"
	"sync/atomic"
)

// Clients is what is counted where clients connect.
type Clients struct {
	HTTP1, HTTP2, Streams Open
	failed                atomic.Uint64    // handshakes
	handshakes            [8]atomic.Uint64 // by the minor version of TLS 1
}

// Open counts what begins and ends: connections, or the streams on one.
type Open struct{ begun, ended atomic.Uint64 }

// Begin counts one in, until its End.
func (o *Open) Begin() { o.begun.Add(1) }

// End counts one out.
func (o *Open) End() { o.ended.Add(1) }

// now is how many there are.
func (o *Open) now() int64 {
	ended := o.ended.Load() // first, so that it is not below 0
	return int64(o.begun.Load() - ended)
}

// Handshake counts one that agreed on a version of TLS.
func (c *Clients) Handshake(version uint16) {
	if i := int(version) - tls.VersionTLS10; i >= 0 && i < len(c.handshakes) {
		c.handshakes[i].Add(1)
	}
}

// HandshakeFailed counts one that came to nothing.
func (c *Clients) HandshakeFailed() { c.failed.Add(1) }
