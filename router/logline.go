package router

import (
	"strconv"
	"time"

	"niwa/router/route"
)

// line is the router's log line of one request, in the fields and the order
// of Router 2.0 (https://devcenter.heroku.com/articles/http-routing#heroku-router-log-format).
// What is not known stays empty: a field of -1, or a zero status.
type line struct {
	asked   []byte // what was asked for: method, path with the query, host, id, and X-Forwarded-For as the dyno got it
	by      []byte // and over what
	wrote   []byte
	code    code // empty when the router did its part
	dyno    string
	connect time.Duration
	service time.Duration
	status  int
	bytes   int64 // of the dyno's answer that went to the client, its header included
}

// beginLine notes who asks for what.
func (x *exchange) beginLine() {
	x.fwd = x.appendForwardedFor(x.fwd[:0])
	x.id = x.appendRequestID(x.id[:0])
	x.line.begin(x)
}

// begin notes what was asked for.
func (l *line) begin(x *exchange) {
	r := &x.conn.req
	host, _ := route.Host(x.host)
	asked := append(append(l.asked[:0], " method="...), r.Method()...)
	l.by = r.AppendTarget(l.by[:0])
	asked = appendQuoted(append(asked, " path="...), l.by)
	asked = append(append(asked, " host="...), host...)
	asked = append(append(asked, " request_id="...), x.id...)
	asked = append(asked, " fwd="...)
	if isPlain(x.fwd) && !x.profile.terse {
		asked = append(asked, x.fwd...)
	} else {
		asked = appendQuoted(asked, x.fwd)
	}
	*l = line{asked: asked, by: l.by[:0], wrote: l.wrote, connect: -1, service: -1, bytes: -1}
	l.by = append(l.by, " protocol="...)
	switch {
	case x.profile.terse:
		l.by = append(l.by, x.conn.scheme...)
		return
	case x.conn.protocol != "":
		l.by = append(l.by, x.conn.protocol...)
	case r.Minor == 0:
		l.by = append(l.by, "http1.0"...)
	default:
		l.by = append(l.by, "http1.1"...)
	}
	if x.conn.tls == "" {
		l.by = append(l.by, " tls=false"...)
	} else {
		l.by = append(append(l.by, " tls=true tls_version="...), x.conn.tls...)
	}
}

// text is the line, good until the next.
func (l *line) text() []byte {
	b := l.wrote[:0]
	if l.code == "" {
		b = append(b, "at=info"...)
	} else {
		t := l.code.terms()
		if t.sock != "" {
			b = append(append(append(b, "sock="...), t.sock...), ' ')
		}
		b = append(append(append(append(b, "at="...), t.at...), " code="...), l.code.number()...)
		b = strconv.AppendQuote(append(b, " desc="...), t.desc)
		if t.cause != "" {
			b = strconv.AppendQuote(append(b, " cause="...), t.cause)
		}
	}
	b = append(b, l.asked...)
	b = append(append(b, " dyno="...), l.dyno...)
	b = appendMilliseconds(append(b, " connect="...), l.connect)
	b = appendMilliseconds(append(b, " service="...), l.service)
	b = appendKnown(append(b, " status="...), int64(l.status), 1)
	b = appendKnown(append(b, " bytes="...), l.bytes, 0)
	b = append(b, l.by...)
	l.wrote = b
	return b
}

func appendMilliseconds(b []byte, d time.Duration) []byte {
	if d < 0 {
		return b
	}
	return append(strconv.AppendInt(b, d.Milliseconds(), 10), "ms"...)
}

// appendKnown appends a number, or nothing when it is below the least it can be.
func appendKnown(b []byte, n, least int64) []byte {
	if n < least {
		return b
	}
	return strconv.AppendInt(b, n, 10)
}

// isPlain is whether a value can stand bare. The client writes part of fwd, so
// that it could otherwise add fields or lines.
func isPlain(s []byte) bool {
	for _, c := range s {
		if c <= ' ' || c >= 0x7f || c == '"' || c == '=' || c == '\\' {
			return false
		}
	}
	return true
}

// appendQuoted appends s in quotes, with nothing in it but printable ASCII.
func appendQuoted(b, s []byte) []byte {
	for _, c := range s {
		if c < ' ' || c >= 0x7f || c == '"' || c == '\\' {
			return strconv.AppendQuoteToASCII(b, string(s))
		}
	}
	return append(append(append(b, '"'), s...), '"')
}
