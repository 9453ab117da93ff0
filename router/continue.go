package router

// A client that expects 100-continue waits for that before it sends its body.
// The router says so itself, unless the app wants to: then the expectation goes
// on to the dyno, and so does what the dyno says to it
// (https://devcenter.heroku.com/articles/http-routing#expect-100-continue).
//
//	100           is relayed, once, and the body follows
//	101           is relayed; the body is given up if none of it came
//	final status  is relayed, and both connections close: nobody can tell
//	              whether a body still comes
//
// The client may go ahead meanwhile. While neither moves, Idle counts.

const goOn = "HTTP/1.1 100 Continue\r\n\r\n"

// passContinue relays a 100 of the dyno's without its fields. There is one for a
// request.
func (x *exchange) passContinue() error {
	if x.continued {
		return secondContinue
	}
	x.continued = true
	x.upload.grant()
	return x.conn.send([]byte(goOn))
}

// grant has the client's time to send begin.
func (u *upload) grant() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.asks = false
	if !u.read && !u.lingering {
		u.x.conn.read.set(u.x.rt.timeouts.Idle)
	}
}

// begin takes note that the client sends.
func (u *upload) begin() {
	u.mu.Lock()
	u.begun = true
	u.mu.Unlock()
}

// settle waits for the end of the body, where another protocol follows. A body
// that was not asked for, and of which nothing came, is given up.
func (u *upload) settle() {
	u.mu.Lock()
	if u.asks && !u.begun && !u.read {
		u.lingering = true
		u.x.conn.read.interrupt()
	}
	u.mu.Unlock()
	<-u.done
	u.x.conn.read.clear()
}
