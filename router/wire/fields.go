package wire

import "bytes"

// Kind tells the fields apart that a router looks at. All others are Other.
type Kind uint8

// The fields that a router looks at.
const (
	Other Kind = iota
	Host
	ContentLength
	TransferEncoding
	Connection
	Upgrade
	Expect
	Trailer
	TE
	KeepAlive
	ProxyConnection
	ProxyAuthorization
	HTTP2Settings
	Via
	Server
	Date
	SetCookie
	Cookie
	ForwardedFor
	ForwardedProto
	ForwardedPort
	RequestID
	RequestStart
	ConnectTime
	TotalRouteTime
)

// kindOf is called for every field, so it looks at the length first.
func kindOf(name []byte) Kind {
	switch len(name) {
	case 2:
		return either(name, "te", TE, "", Other)
	case 3:
		return either(name, "via", Via, "", Other)
	case 4:
		return either(name, "host", Host, "date", Date)
	case 6:
		if is(name, "cookie") {
			return Cookie
		}
		return either(name, "server", Server, "expect", Expect)
	case 7:
		return either(name, "upgrade", Upgrade, "trailer", Trailer)
	case 10:
		if is(name, "keep-alive") {
			return KeepAlive
		}
		return either(name, "connection", Connection, "set-cookie", SetCookie)
	case 12:
		return either(name, "x-request-id", RequestID, "connect-time", ConnectTime)
	case 14:
		return either(name, "content-length", ContentLength, "http2-settings", HTTP2Settings)
	case 15:
		return either(name, "x-forwarded-for", ForwardedFor, "x-request-start", RequestStart)
	case 16:
		if is(name, "total-route-time") {
			return TotalRouteTime
		}
		return either(name, "x-forwarded-port", ForwardedPort, "proxy-connection", ProxyConnection)
	case 17:
		return either(name, "transfer-encoding", TransferEncoding, "x-forwarded-proto", ForwardedProto)
	case 19:
		return either(name, "proxy-authorization", ProxyAuthorization, "", Other)
	}
	return Other
}

// either is the kind of one of two names, if it is one.
func either(name []byte, first string, one Kind, second string, other Kind) Kind {
	switch {
	case is(name, first):
		return one
	case is(name, second):
		return other
	}
	return Other
}

// span is a part of a head's bytes, by where it begins and ends: the bytes move
// while the head still arrives.
type span struct{ from, to int32 }

// Field is one field line of a head.
type Field struct {
	Kind        Kind
	name, value span
}

// head is what requests and responses have in common, and how far it has been
// read: the bytes so far, where the line begins that has not ended, and up to
// where its end has been looked for.
type head struct {
	buf       []byte
	at, seen  int
	begun     bool // the first line is read
	fields    []Field
	nominated []span // what Connection names, beside what it says itself
	length    int64  // -1 without Content-Length
	codings   int    // Transfer-Encoding fields
}

// maxKept is how much of what a large head had grown is kept for the next.
const maxKept = 64

func (h *head) reset() {
	if cap(h.fields) > maxKept || cap(h.nominated) > maxKept {
		h.fields, h.nominated = nil, nil
	}
	*h = head{fields: h.fields[:0], nominated: h.nominated[:0], length: -1}
}

// Fields are the field lines in their order.
func (h *head) Fields() []Field { return h.fields }

// Name is the name of a field as it was written.
func (h *head) Name(f Field) []byte { return h.slice(f.name) }

// Value is the value of a field, byte for byte, without the white space around it.
func (h *head) Value(f Field) []byte { return h.slice(f.value) }

func (h *head) slice(s span) []byte { return h.buf[s.from:s.to] }

// span is where part, a part of the head's bytes, lies in them. Slices of one
// array end at the same place, as far as their capacity goes.
func (h *head) span(part []byte) span {
	from := cap(h.buf) - cap(part)
	return span{int32(from), int32(from + len(part))}
}

// What a line can be: there, still on its way, or ended wrongly.
type ending uint8

const (
	ended ending = iota
	partial
	wrong
)

// line takes the next line, without its CR LF. It never looks for its end in the
// same byte twice, however the bytes come. A CR within it is left to who reads
// the line: nothing that has its place in one may have a CR.
func (h *head) line() (line []byte, end ending) {
	i := bytes.IndexByte(h.buf[h.seen:], '\n')
	if i < 0 {
		// A CR that no LF follows will not become right.
		if cr := bytes.IndexByte(h.buf[max(h.at, h.seen-1):], '\r'); cr >= 0 && max(h.at, h.seen-1)+cr < len(h.buf)-1 {
			return nil, wrong
		}
		h.seen = len(h.buf)
		return h.buf[h.at:], partial
	}
	line = h.buf[h.at : h.seen+i]
	h.at = h.seen + i + 1
	h.seen = h.at
	if len(line) == 0 || line[len(line)-1] != '\r' {
		return nil, wrong
	}
	return line[:len(line)-1], ended
}

// message is what a head is read into, line by line.
type message interface {
	start(line []byte) (begun bool, err error) // its first line, or an empty one before it
	field(line []byte) error
	partial(line []byte) error // refuses early what can only get worse
	conclude() error
	malformed() error // what a line that ends wrongly is
}

// parse reads on in buf, which begins with the bytes of the call before and may
// have moved. n is the length of the head, or 0 while it is not all there.
func (h *head) parse(m message, buf []byte) (n int, err error) {
	for h.buf = buf; ; {
		line, end := h.line()
		switch {
		case end == partial:
			return 0, m.partial(line)
		case end == wrong:
			return 0, m.malformed()
		case !h.begun:
			h.begun, err = m.start(line)
		case len(line) > 0:
			err = m.field(line)
		default:
			h.buf = buf[:h.at]
			return h.at, m.conclude()
		}
		if err != nil {
			return 0, err
		}
	}
}

// cutField splits a field line; ok is whether both parts are what they should.
func cutField(line []byte) (name, value []byte, ok bool) {
	colon := bytes.IndexByte(line, ':')
	if colon < 0 {
		return nil, nil, false
	}
	name, value = line[:colon], trimOWS(line[colon+1:])
	return name, value, isToken(name) && isText(value)
}

// add takes a field in.
func (h *head) add(name, value []byte) Field {
	f := Field{kindOf(name), h.span(name), h.span(value)}
	h.fields = append(h.fields, f)
	return f
}

// Nominated is whether Connection names a field, which then is for the next
// hop alone (RFC 9110 §7.6.1). Fields that the router itself answers for
// cannot be named away.
func (h *head) Nominated(f Field) bool {
	if len(h.nominated) == 0 || f.Kind != Other {
		return false
	}
	for _, s := range h.nominated {
		if bytes.EqualFold(h.slice(s), h.Name(f)) {
			return true
		}
	}
	return false
}

// connection reads a Connection field; it is false when that is no list of
// tokens, or a list of nothing.
func (h *head) connection(value []byte) (close, keep, upgrade, ok bool) {
	ok = len(value) == 0
	for more := len(value) > 0; more; {
		var option []byte
		option, value, more = member(value)
		switch {
		case len(option) == 0:
			continue
		case !isToken(option):
			return false, false, false, false
		case is(option, "close"):
			close = true
		case is(option, "keep-alive"):
			keep = true
		case is(option, "upgrade"):
			upgrade = true
		default:
			h.nominated = append(h.nominated, h.span(option))
		}
		ok = true
	}
	return close, keep, upgrade, ok
}

// contentLength reads a Content-Length field; it is false unless it is digits
// that say the same as any before it.
func (h *head) contentLength(value []byte) bool {
	n, ok := number(value)
	if !ok || h.length >= 0 && h.length != n {
		return false
	}
	h.length = n
	return true
}
