package router

import "niwa/router/wire"

// scratch is what a connection works with: the request as it was read, and what is
// written for it. A connection takes over what another has grown. Where each serves
// one request only, the garbage would otherwise cost as much as the request.
type scratch struct {
	req             wire.Request
	line            line
	request, answer []byte // for the dyno: the head, and the body; for the client
	fwd, id, badge  []byte // X-Forwarded-For, X-Request-Id, and the dyno that the client is kept with
}

// equip gives a connection what it works with.
func (c *conn) equip() {
	warm, ok := c.rt.scratches.Get().(*scratch)
	if !ok {
		warm = new(scratch)
	}
	c.scratch, c.exchange.scratch = warm, warm
}

// strip takes it back from a connection that has ended.
func (c *conn) strip() {
	if c.buf != nil {
		c.rt.buffers.put(c.buf)
	}
	c.exchange.slim()
	c.req.Reset()
	c.rt.scratches.Put(c.scratch)
	c.scratch, c.exchange.scratch, c.buf = nil, nil, nil
}
