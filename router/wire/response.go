package wire

import (
	"bytes"
)

// Response is the head of a dyno's answer. Parse fills it, as often as there
// are more bytes; the zero value is ready after a Reset.
type Response struct {
	head
	reason span

	Minor     int
	Status    int
	Close     bool // the dyno takes no request after this one
	HasServer bool
	HasDate   bool
	Switches  bool // Connection says upgrade
}

// Reset makes it ready for the next answer.
func (r *Response) Reset() {
	h := r.head
	h.reset()
	*r = Response{head: h}
}

// Reason is the reason phrase, which may be empty.
func (r *Response) Reason() []byte { return r.slice(r.reason) }

// Framing is how one knows where a body ends.
type Framing uint8

// The framings of an answer's body.
const (
	NoBody Framing = iota
	Counted
	Chunked
	UntilClose
)

// Framing is how the body of the answer ends. It depends on the request: the
// answer to HEAD has none, whatever it says (RFC 9112 §6.3).
func (r *Response) Framing(head bool) Framing {
	switch {
	case head, r.Status < 200, r.Status == 204, r.Status == 304:
		return NoBody
	case r.codings > 0:
		return Chunked
	case r.length >= 0:
		return Counted
	}
	return UntilClose
}

// SaysChunked is whether the answer is, or to another method would be, in chunks.
func (r *Response) SaysChunked() bool { return r.codings > 0 }

// Length is the Content-Length, or -1 where there is none that counts.
func (r *Response) Length() int64 {
	if r.codings > 0 {
		return -1
	}
	return r.length
}

// Ambiguous is whether the answer has both a Content-Length and a
// Transfer-Encoding. The latter counts, and the connection is not to be trusted
// any longer.
func (r *Response) Ambiguous() bool { return r.codings > 0 && r.length >= 0 }

// Parse reads on in buf, as Request.Parse does. An error is a ResponseError.
func (r *Response) Parse(buf []byte) (n int, err error) { return r.parse(r, buf) }

func (r *Response) malformed() error { return Malformed }

func (r *Response) start(line []byte) (begun bool, err error) { return true, r.statusLine(line) }

func (r *Response) partial(line []byte) error {
	switch {
	case !r.begun && len(line) > MaxStatusLine:
		return OversizedStatusLine
	case !r.begun && len(line) > 0 && !bytes.HasPrefix([]byte("HTTP/1."), line[:min(len(line), 7)]):
		return Malformed
	case len(line) > MaxLine || len(r.buf) > MaxHead:
		return OversizedHeader
	}
	return nil
}

// statusLine takes a version, a status of three digits, and a reason, which
// many leave out together with the space before it.
func (r *Response) statusLine(line []byte) error {
	if len(line) > MaxStatusLine {
		return OversizedStatusLine
	}
	if len(line) < len("HTTP/1.1 200") || string(line[:7]) != "HTTP/1." || line[8] != ' ' {
		return Malformed
	}
	minor, status, rest := line[7], line[9:12], line[12:]
	n, ok := number(status)
	if minor != '0' && minor != '1' || !ok || n < 100 || len(rest) > 0 && rest[0] != ' ' || !isText(rest) {
		return Malformed
	}
	r.Minor, r.Status = int(minor-'0'), int(n)
	if len(rest) > 0 {
		rest = rest[1:]
	}
	r.reason = r.span(rest)
	return nil
}

func (r *Response) field(line []byte) error {
	name, value, ok := cutField(line)
	switch {
	case len(line) > MaxLine || len(r.fields) == MaxFields:
		return OversizedHeader
	case !ok:
		return Malformed
	}
	f := r.add(name, value)
	switch f.Kind {
	case ContentLength:
		if !r.contentLength(value) {
			return InvalidLength
		}
	case TransferEncoding:
		if r.codings++; r.codings > 1 || !is(value, "chunked") {
			return InvalidCoding
		}
	case Connection:
		close, _, upgrade, ok := r.connection(value)
		if !ok {
			return Malformed
		}
		r.Close = r.Close || close
		r.Switches = r.Switches || upgrade
	case SetCookie:
		if len(line) > MaxCookie {
			return OversizedCookie
		}
	case Server:
		r.HasServer = true
	case Date:
		r.HasDate = true
	}
	return nil
}

// conclude sees to HTTP/1.0, which has no chunks, and closes unless it says
// otherwise.
func (r *Response) conclude() error {
	if r.Minor == 1 {
		return nil
	}
	if r.codings > 0 {
		return InvalidCoding
	}
	r.Close = true // none of the servers that say keep-alive in HTTP/1.0 is worth the doubt
	return nil
}
