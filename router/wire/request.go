package wire

import "bytes"

// Request is the head of a request. Parse fills it, as often as there are more
// bytes; the zero value is ready after a Reset.
type Request struct {
	head
	method, target span
	rootless       bool // an absolute target without a path: "/" goes before what is left of it
	host           span
	hasHost        bool
	authority      span // of an absolute target
	absolute       bool
	blanks         int

	Minor    int    // of HTTP/1: 0 or 1
	Close    bool   // the connection ends after the answer
	Upgrade  []byte // the protocol asked for, or nil
	Continue bool   // the client waits for a 100 before it sends the body

	asked struct{ close, keep, upgrade bool }
}

// Reset makes it ready for the next request.
func (r *Request) Reset() {
	h := r.head
	h.reset()
	*r = Request{head: h}
}

// Method is the method as it was written.
func (r *Request) Method() []byte { return r.slice(r.method) }

// AppendTarget appends the path and query, byte for byte: an absolute target
// without its authority, none with its fragment.
func (r *Request) AppendTarget(dst []byte) []byte {
	if r.rootless {
		dst = append(dst, '/')
	}
	return append(dst, r.slice(r.target)...)
}

// Host is the value of the Host field.
func (r *Request) Host() []byte { return r.slice(r.host) }

// Length is how long the body is: 0 without one, -1 when it comes in chunks.
func (r *Request) Length() int64 {
	if r.codings > 0 {
		return -1
	}
	return max(0, r.length)
}

// SaysLength is whether there is a Content-Length, be it 0.
func (r *Request) SaysLength() bool { return r.length >= 0 && r.codings == 0 }

// Ambiguous is whether the request has both a Content-Length and a
// Transfer-Encoding. The latter counts, and a server must close after the
// answer (RFC 9112 §6.1).
func (r *Request) Ambiguous() bool { return r.codings > 0 && r.length >= 0 }

// Parse reads on in buf, which begins with the bytes of the call before and may
// have moved. n is the length of the head, or 0 while it is not all there. The
// request refers to buf until it is reset. An error is a *RequestError.
func (r *Request) Parse(buf []byte) (n int, err error) { return r.parse(r, buf) }

func (r *Request) malformed() error { return bad("a line does not end with CR LF") }

// start takes the request line; a few empty lines may come before it.
func (r *Request) start(line []byte) (begun bool, err error) {
	if len(line) > 0 {
		return true, r.requestLine(line)
	}
	if r.blanks++; r.blanks > maxBlanks {
		return false, bad("too many empty lines before the request")
	}
	return false, nil
}

func (r *Request) partial(line []byte) error {
	switch {
	case len(r.buf) > MaxHead:
		return &RequestError{431, "the header is too large"}
	case !r.begun && len(line) > 0 && line[0] != '\r' && !in(tokenLow, tokenHigh, line[0]):
		return bad("this is not HTTP")
	case !r.begun && len(line) > MaxMethod+MaxTarget+len("  HTTP/1.1\r"):
		return &RequestError{414, "the request line is too long"}
	case r.begun && len(line) > MaxName+MaxValue+len(":\r"):
		return bad("a header line is too long")
	}
	return nil
}

func (r *Request) requestLine(line []byte) error {
	method, rest, _ := bytes.Cut(line, []byte(" "))
	target, version, ok := bytes.Cut(rest, []byte(" "))
	switch {
	case !isToken(method) || len(method) > MaxMethod:
		return bad("the method is not a token of at most 127 characters")
	case len(target) > MaxTarget:
		return &RequestError{414, "the request target is too long"}
	case !ok || !isTarget(target):
		return bad("the request line is not a method, a target and a version")
	}
	switch string(version) {
	case "HTTP/1.1":
		r.Minor = 1
	case "HTTP/1.0":
	default:
		return badVersion(version)
	}
	r.method = r.span(method)
	if string(method) == "CONNECT" {
		if bytes.IndexByte(target, '/') >= 0 {
			return bad("the target of CONNECT is not a host and a port")
		}
		return &RequestError{405, "CONNECT is not served"}
	}
	return r.requestTarget(method, target)
}

func badVersion(version []byte) error {
	if len(version) == len("HTTP/1.1") && string(version[:5]) == "HTTP/" && version[6] == '.' && isDigits(version[5:6]) && isDigits(version[7:]) {
		return &RequestError{505, "HTTP/1.1 and HTTP/1.0 are served here"}
	}
	return bad("the version of HTTP is malformed")
}

// requestTarget takes the target in each form that it may have (RFC 9112 §3.2).
func (r *Request) requestTarget(method, target []byte) error {
	if i := bytes.IndexByte(target, '#'); i >= 0 {
		target = target[:i]
	}
	switch {
	case len(target) > 0 && target[0] == '/', string(target) == "*" && string(method) == "OPTIONS":
		r.target = r.span(target)
		return nil
	case len(target) > 7 && is(target[:7], "http://"):
		target = target[7:]
	case len(target) > 8 && is(target[:8], "https://"):
		target = target[8:]
	default:
		return bad("the request target is no path and no address")
	}
	end := bytes.IndexAny(target, "/?")
	if end < 0 {
		end = len(target)
	}
	r.absolute, r.authority = true, r.span(target[:end])
	target = target[end:]
	r.rootless = len(target) == 0 || target[0] == '?'
	r.target = r.span(target)
	return nil
}

func (r *Request) field(line []byte) error {
	name, value, ok := cutField(line)
	switch {
	case !ok:
		return bad("a header line is not a name, a colon and a value")
	case len(name) > MaxName || len(value) > MaxValue:
		return bad("a header line is too long")
	case len(r.fields) == MaxFields:
		return bad("there are too many header lines")
	}
	f := r.add(name, value)
	switch f.Kind {
	case Host:
		if r.hasHost {
			return bad("there is more than one Host")
		}
		r.hasHost, r.host = true, f.value
	case ContentLength:
		if !r.contentLength(value) {
			return bad("Content-Length is not one number")
		}
	case TransferEncoding:
		return r.transferEncoding(value)
	case Connection:
		close, keep, upgrade, ok := r.connection(value)
		if !ok {
			return bad("Connection is not a list of options")
		}
		r.asked.close = r.asked.close || close
		r.asked.keep = r.asked.keep || keep
		r.asked.upgrade = r.asked.upgrade || upgrade
	case Expect:
		return r.expect(value)
	}
	return nil
}

// transferEncoding takes "chunked", once, and nothing else (RFC 9112 §6.1).
func (r *Request) transferEncoding(value []byte) error {
	r.codings++
	switch {
	case r.codings > 1:
		return bad("there is more than one Transfer-Encoding")
	case is(value, "chunked"):
		return nil
	case isToken(value):
		return &RequestError{501, "this Transfer-Encoding is not served"}
	}
	return bad("Transfer-Encoding is not one coding")
}

// expect takes the one expectation there is (RFC 9110 §10.1.1). One that HTTP
// has no name for is Heroku's 417.
func (r *Request) expect(value []byte) error {
	for more := len(value) > 0; more; {
		var expectation []byte
		expectation, value, more = member(value)
		switch {
		case is(expectation, "100-continue"):
			r.Continue = true
		case isToken(expectation):
			return &RequestError{417, "unsupported expect header value"}
		default:
			return bad("Expect is not an expectation")
		}
	}
	return nil
}

// conclude checks what only all fields together say.
func (r *Request) conclude() error {
	switch {
	case !r.hasHost || r.host.from == r.host.to:
		return bad("there is no Host")
	case !validHost(r.Host()):
		return bad("Host is not a host and a port")
	case r.absolute && !bytes.EqualFold(r.slice(r.authority), r.Host()):
		return bad("the request target and Host are at odds")
	case r.codings > 0 && r.Minor == 0:
		return bad("HTTP/1.0 has no Transfer-Encoding")
	}
	r.Close = r.asked.close || r.Minor == 0 && !r.asked.keep
	r.Continue = r.Continue && r.Minor == 1 && r.Length() != 0
	return r.upgrade()
}

// upgrade finds the protocol that the client would rather speak. An HTTP/1.0
// client cannot ask, and h2c is not passed on: requests inside it would go past
// the router.
func (r *Request) upgrade() error {
	if !r.asked.upgrade || r.Minor == 0 {
		return nil
	}
	found, passed := false, true
	for _, f := range r.fields {
		if f.Kind != Upgrade {
			continue
		}
		value := r.Value(f)
		for more := true; more; {
			var protocol []byte
			protocol, value, more = member(value)
			name, version, versioned := bytes.Cut(protocol, []byte("/"))
			if !isToken(name) || versioned && !isToken(version) {
				return bad("Upgrade is not a list of protocols")
			}
			passed = passed && !is(name, "h2c")
		}
		if found {
			return bad("there is more than one Upgrade")
		}
		found, r.Upgrade = true, r.Value(f)
	}
	if !found {
		return bad("Connection says upgrade, but Upgrade does not say to what")
	}
	if !passed {
		r.Upgrade = nil
	}
	return nil
}

// validHost is whether a Host is a host and perhaps a port (RFC 9112 §3.2),
// with none of the characters that names of hosts do without.
func validHost(host []byte) bool {
	name, port := host, []byte(nil)
	if host[0] == '[' {
		end := bytes.IndexByte(host, ']')
		if end < 0 || !isAddress(host[1:end]) {
			return false
		}
		if name, port = nil, host[end+1:]; len(port) > 0 && port[0] != ':' {
			return false
		}
	} else if i := bytes.IndexByte(host, ':'); i >= 0 {
		name, port = host[:i], host[i:]
	}
	if host[0] != '[' && !all(hostLow, hostHigh, name) {
		return false
	}
	if len(port) <= 1 {
		return true
	}
	n, ok := number(port[1:])
	return ok && n <= 65535
}

// isAddress is whether s can be an address in brackets.
func isAddress(s []byte) bool {
	for _, c := range s {
		if !in(digits|1<<':'|1<<'.', 0x3f<<('A'-64)|0x3f<<('a'-64), c) {
			return false
		}
	}
	return bytes.IndexByte(s, ':') >= 0
}
