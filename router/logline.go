package router

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// line is the router's log line of one request, in the fields and the order
// of Router 2.0 (https://devcenter.heroku.com/articles/http-routing#heroku-router-log-format).
// What is not known stays empty: a field of -1, or a zero status.
type line struct {
	code      code // empty when the router did its part
	method    string
	path      string // with the query
	host      string
	requestID string
	fwd       string // X-Forwarded-For as the dyno got it
	dyno      string
	connect   time.Duration
	service   time.Duration
	status    int
	bytes     int64 // of the dyno's answer that went to the client, its header included
	protocol  string
	tls       string // tls1.3; empty on a plain connection
}

func newLine(r *http.Request, host, requestID, fwd string) line {
	l := line{
		method: r.Method, path: target(r), host: host, requestID: requestID, fwd: fwd,
		connect: -1, service: -1, bytes: -1,
		protocol: fmt.Sprintf("http%d.%d", r.ProtoMajor, r.ProtoMinor),
	}
	if r.TLS != nil {
		l.tls = strings.ToLower(strings.ReplaceAll(tls.VersionName(r.TLS.Version), " ", ""))
	}
	return l
}

func (l line) String() string {
	var b strings.Builder
	if l.code == "" {
		b.WriteString("at=info")
	} else {
		t := l.code.terms()
		if t.sock != "" {
			fmt.Fprintf(&b, "sock=%s ", t.sock)
		}
		fmt.Fprintf(&b, "at=%s code=%s desc=%q", t.at, string(l.code), t.desc)
	}
	fmt.Fprintf(&b, " method=%s path=%s host=%s request_id=%s fwd=%s", l.method,
		strconv.QuoteToASCII(l.path), l.host, l.requestID, quoteUnlessPlain(l.fwd))
	fmt.Fprintf(&b, " dyno=%s connect=%s service=%s status=%s bytes=%s protocol=%s", l.dyno,
		milliseconds(l.connect), milliseconds(l.service), known(int64(l.status), 1), known(l.bytes, 0), l.protocol)
	if l.tls == "" {
		b.WriteString(" tls=false")
	} else {
		b.WriteString(" tls=true tls_version=" + l.tls)
	}
	return b.String()
}

func milliseconds(d time.Duration) string {
	if d < 0 {
		return ""
	}
	return strconv.FormatInt(d.Milliseconds(), 10) + "ms"
}

// known prints a number, or nothing when it is below the least it can be.
func known(n, least int64) string {
	if n < least {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

// quoteUnlessPlain leaves a value bare where that cannot be misread. The
// client writes part of fwd, so that it could otherwise add fields or lines.
func quoteUnlessPlain(s string) string {
	plain := func(r rune) bool {
		return r > ' ' && r < 0x7f && r != '"' && r != '=' && r != '\\'
	}
	if strings.ContainsFunc(s, func(r rune) bool { return !plain(r) }) {
		return strconv.QuoteToASCII(s)
	}
	return s
}
