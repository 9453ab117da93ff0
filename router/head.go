package router

import (
	"encoding/hex"
	"math/rand/v2"
	"strconv"
	"time"

	"niwa/router/wire"
)

// appendRequest appends the head that the dyno gets: the client's, in its
// order, without what belongs to its own connection, and what the router has to
// say.
func (x *exchange) appendRequest(dst []byte) []byte {
	r := &x.conn.req
	dst = append(append(dst, r.Method()...), ' ')
	dst = append(r.AppendTarget(dst), " HTTP/1.1\r\nHost: "...)
	dst = append(append(dst, r.Host()...), "\r\n"...)
	for _, f := range r.Fields() {
		if (goesOn(f.Kind) || isTime(f.Kind) && !x.profile.times) && !r.Nominated(f) {
			dst = appendField(dst, r.Name(f), r.Value(f))
		}
	}
	switch {
	case r.Upgrade != nil:
		dst = append(append(append(dst, "Connection: Upgrade\r\nUpgrade: "...), r.Upgrade...), "\r\n"...)
	case x.repeatable:
		dst = append(dst, "Connection: keep-alive\r\n"...)
	default:
		dst = append(dst, "Connection: close\r\n"...)
	}
	if x.expects {
		dst = append(dst, "Expect: 100-continue\r\n"...)
	}
	dst = x.appendFraming(dst)
	dst = append(append(append(dst, "X-Forwarded-For: "...), x.fwd...), "\r\nX-Forwarded-Proto: "...)
	dst = append(append(append(dst, x.conn.scheme...), "\r\nX-Forwarded-Port: "...), x.conn.port...)
	dst = append(append(append(dst, "\r\nX-Request-Id: "...), x.id...), "\r\nX-Request-Start: "...)
	dst = append(strconv.AppendInt(dst, x.at.UnixMilli(), 10), "\r\n"...)
	if x.profile.times {
		dst = x.appendTimes(dst)
	}
	return append(x.appendVia(dst, r.Fields(), r.Value), "\r\n"...)
}

// appendFraming appends how long the request's body is. There is nothing to say
// where neither the client nor the method speaks of a body.
func (x *exchange) appendFraming(dst []byte) []byte {
	r := &x.conn.req
	length := r.Length()
	if length < 0 {
		return append(dst, "Transfer-Encoding: chunked\r\n"...)
	}
	if length == 0 {
		switch string(r.Method()) {
		case "GET", "HEAD":
			return dst
		case "POST", "PUT", "PATCH":
		default:
			if !r.SaysLength() {
				return dst
			}
		}
	}
	return appendLength(dst, length)
}

func appendLength[N int | int64](dst []byte, length N) []byte {
	return appendNumber(dst, "Content-Length: ", int64(length))
}

func appendNumber(dst []byte, label string, n int64) []byte {
	return append(strconv.AppendInt(append(dst, label...), n, 10), "\r\n"...)
}

// goesOn is whether a field is passed on as it is. The others belong to one
// connection only, or the router writes them itself.
func goesOn(k wire.Kind) bool {
	switch k {
	case wire.Other, wire.Trailer, wire.Server, wire.Date, wire.SetCookie, wire.Cookie:
		return true
	}
	return false
}

// isTime is whether the legacy router writes a field itself; to any other it is
// as good as another.
func isTime(k wire.Kind) bool { return k == wire.ConnectTime || k == wire.TotalRouteTime }

// goesBack is goesOn for answers, where the way of the request means nothing.
func goesBack(k wire.Kind) bool {
	switch k {
	case wire.Host, wire.Expect, wire.HTTP2Settings, wire.ForwardedFor, wire.ForwardedProto, wire.ForwardedPort, wire.RequestID, wire.RequestStart:
		return true
	}
	return goesOn(k) || isTime(k)
}

func appendField(dst, name, value []byte) []byte {
	dst = append(wire.AppendName(dst, name), ": "...)
	return append(append(dst, value...), "\r\n"...)
}

// appendVia appends the Via fields there are as one, and the router to it, with
// the version that the client speaks.
func (x *exchange) appendVia(dst []byte, fields []wire.Field, value func(wire.Field) []byte) []byte {
	dst = append(dst, "Via: "...)
	for _, f := range fields {
		if f.Kind == wire.Via {
			dst = append(append(dst, value(f)...), ", "...)
		}
	}
	dst = append(append(append(dst, x.conn.via...), ' '), x.profile.via...)
	return append(dst, "\r\n"...)
}

// appendAnswer appends the head that the client gets of the dyno's answer.
// chunked is whether a body follows in chunks, and close whether the connection
// ends after it.
func (x *exchange) appendAnswer(dst []byte, r *wire.Response, chunked, close bool) []byte {
	dst = appendStatus(dst, r.Status, r.Reason())
	for _, f := range r.Fields() {
		if goesBack(f.Kind) && !r.Nominated(f) {
			dst = appendField(dst, r.Name(f), r.Value(f))
		}
	}
	switch length := r.Length(); {
	case chunked:
		dst = append(dst, "Transfer-Encoding: chunked\r\n"...)
	case length >= 0 && r.Status >= 200:
		dst = appendLength(dst, length)
	}
	if r.Status < 200 {
		return append(dst, "\r\n"...)
	}
	if !r.HasServer {
		dst = appendServer(dst, x.profile.server)
	}
	if !r.HasDate {
		dst = appendDate(dst)
	}
	dst = x.appendAffinity(dst)
	dst = x.appendVia(dst, r.Fields(), r.Value)
	return append(appendConnection(dst, close), "\r\n"...)
}

// appendSwitch appends the head that tells the client that the protocol changes.
func (x *exchange) appendSwitch(dst []byte, d *dynoConn) []byte {
	r := &d.resp
	dst = appendStatus(dst, r.Status, r.Reason())
	for _, f := range r.Fields() {
		if f.Kind == wire.Upgrade || goesBack(f.Kind) && !r.Nominated(f) {
			dst = appendField(dst, r.Name(f), r.Value(f))
		}
	}
	if !r.HasServer {
		dst = appendServer(dst, x.profile.server)
	}
	dst = x.appendVia(dst, r.Fields(), r.Value)
	dst = x.appendAffinity(dst)
	return append(dst, "Connection: Upgrade\r\n\r\n"...)
}

func appendStatus(dst []byte, status int, reason []byte) []byte {
	dst = strconv.AppendInt(append(dst, "HTTP/1.1 "...), int64(status), 10)
	return append(append(append(dst, ' '), reason...), "\r\n"...)
}

func appendServer(dst []byte, name string) []byte {
	return append(append(append(dst, "Server: "...), name...), "\r\n"...)
}

func appendDate(dst []byte) []byte {
	dst = time.Now().UTC().AppendFormat(append(dst, "Date: "...), "Mon, 02 Jan 2006 15:04:05 GMT")
	return append(dst, "\r\n"...)
}

func appendConnection(dst []byte, close bool) []byte {
	if close {
		return append(dst, "Connection: close\r\n"...)
	}
	return append(dst, "Connection: keep-alive\r\n"...)
}

// appendForwardedFor appends what the client says of its way, which nobody
// should believe, and where it came from to the router.
func (x *exchange) appendForwardedFor(dst []byte) []byte {
	r := &x.conn.req
	for _, f := range r.Fields() {
		if f.Kind == wire.ForwardedFor {
			dst = append(append(dst, r.Value(f)...), ", "...)
		}
	}
	return append(dst, x.conn.peer...)
}

// appendRequestID appends the client's id when it is one, and a UUID otherwise.
func (x *exchange) appendRequestID(dst []byte) []byte {
	r := &x.conn.req
	for _, f := range r.Fields() {
		if f.Kind == wire.RequestID && isRequestID(r.Value(f)) {
			return append(dst, r.Value(f)...)
		}
	}
	return appendUUID(dst)
}

// isRequestID is whether an id is one: 20 to 200 of the characters of base64
// and '-'.
func isRequestID(id []byte) bool {
	if len(id) < 20 || len(id) > 200 {
		return false
	}
	for _, c := range id {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '+', c == '/', c == '=', c == '-':
		default:
			return false
		}
	}
	return true
}

// appendUUID appends a random UUID.
func appendUUID(dst []byte) []byte {
	var b [16]byte
	for i, n := 0, rand.Uint64(); i < 8; i, n = i+1, n>>8 {
		b[i] = byte(n)
	}
	for i, n := 8, rand.Uint64(); i < 16; i, n = i+1, n>>8 {
		b[i] = byte(n)
	}
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	for i, part := range [][]byte{b[:4], b[4:6], b[6:8], b[8:10], b[10:]} {
		if i > 0 {
			dst = append(dst, '-')
		}
		dst = hex.AppendEncode(dst, part)
	}
	return dst
}
