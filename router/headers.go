package router

import (
	"crypto/rand"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"
)

const (
	serverName = "Heroku"
	viaName    = "heroku-router"
)

// arrival is what the router notes of a request as it arrives.
type arrival struct {
	at        time.Time
	requestID string
	fwd       string // X-Forwarded-For, with the peer appended
}

func arrive(r *http.Request, now time.Time) arrival {
	return arrival{at: now, requestID: requestID(r.Header.Get("X-Request-Id")), fwd: forwardedFor(r)}
}

// forwarded is the header that the dyno gets: the client's without what
// belongs to its own connection, and the router's. upgrade is the protocol
// the client asks to switch to, or empty.
func (a arrival) forwarded(r *http.Request, upgrade string) http.Header {
	h := r.Header.Clone()
	removeHopByHop(h)
	h.Del("Expect") // the router answers it
	h.Del("Content-Length")
	if length, ok := contentLength(r); ok {
		h.Set("Content-Length", length)
	}
	for name := range r.Trailer {
		h.Add("Trailer", name)
	}
	h.Set("Connection", "keep-alive")
	if !repeatable(r) {
		h.Set("Connection", "close")
	}
	if upgrade != "" {
		h.Set("Connection", "Upgrade")
		h.Set("Upgrade", upgrade)
	}
	h.Set("X-Forwarded-For", a.fwd)
	h.Set("X-Forwarded-Proto", proto(r))
	h.Set("X-Forwarded-Port", port(r))
	h.Set("X-Request-Start", strconv.FormatInt(a.at.UnixMilli(), 10))
	h.Set("X-Request-Id", a.requestID)
	addVia(h, r)
	return h
}

// answered fills the header that the client gets from the dyno's.
func answered(dst http.Header, resp *http.Response, r *http.Request) {
	for name, values := range resp.Header {
		dst[name] = values
	}
	removeHopByHop(dst)
	if resp.StatusCode < 200 && resp.StatusCode != http.StatusSwitchingProtocols {
		return
	}
	for name := range resp.Trailer {
		dst.Add("Trailer", name)
	}
	if _, ok := dst["Server"]; !ok {
		dst.Set("Server", serverName)
	}
	if _, ok := dst["Content-Type"]; !ok {
		dst["Content-Type"] = nil // or net/http would guess one
	}
	addVia(dst, r)
}

// removeHopByHop removes what belongs to one connection only: the fields
// that are so by definition, and those that Connection names. Those that the
// router itself answers for cannot be named away.
func removeHopByHop(h http.Header) {
	for _, value := range h["Connection"] {
		for name := range strings.SplitSeq(value, ",") {
			name = http.CanonicalHeaderKey(strings.TrimSpace(name))
			if !routersOwn(name) {
				h.Del(name)
			}
		}
	}
	for _, name := range []string{"Connection", "Proxy-Connection", "Keep-Alive", "Te", "Upgrade", "Transfer-Encoding", "Proxy-Authorization"} {
		h.Del(name)
	}
}

func routersOwn(name string) bool {
	switch name {
	case "Content-Length", "Host", "Trailer", "Via", "Server", "Date",
		"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Port", "X-Request-Start", "X-Request-Id":
		return true
	}
	return false
}

// addVia appends the router to the Via field, with the version that the
// client speaks.
func addVia(h http.Header, r *http.Request) {
	via := "1.1 " + viaName
	if r.ProtoMajor == 2 {
		via = "2.0 " + viaName
	}
	h.Set("Via", strings.Join(append(h["Via"], via), ", "))
}

// contentLength is the Content-Length to send to the dyno. There is none for
// a chunked body, nor where neither the client nor the method speaks of a body.
func contentLength(r *http.Request) (string, bool) {
	if r.ContentLength > 0 {
		return strconv.FormatInt(r.ContentLength, 10), true
	}
	if r.ContentLength < 0 {
		return "", false
	}
	switch r.Method {
	case http.MethodPost, http.MethodPut, http.MethodPatch:
		return "0", true
	case http.MethodGet, http.MethodHead:
		return "", false
	}
	return "0", r.Header.Get("Content-Length") != ""
}

// forwardedFor appends the peer to what the client says, which nobody should
// believe.
func forwardedFor(r *http.Request) string {
	peer, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		peer = r.RemoteAddr
	}
	return strings.Join(append(r.Header["X-Forwarded-For"], peer), ", ")
}

func proto(r *http.Request) string {
	if r.TLS != nil {
		return "https"
	}
	return "http"
}

// port is the one that the client connected to.
func port(r *http.Request) string {
	if addr, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
		if _, port, err := net.SplitHostPort(addr.String()); err == nil {
			return port
		}
	}
	if r.TLS != nil {
		return "443"
	}
	return "80"
}

// requestID keeps the client's id when it is one, 20 to 200 of the characters
// of base64 and '-', and makes a UUID otherwise.
func requestID(given string) string {
	valid := func(r rune) bool {
		return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("+/=-", r)
	}
	if len(given) >= 20 && len(given) <= 200 && !strings.ContainsFunc(given, func(r rune) bool { return !valid(r) }) {
		return given
	}
	var b [16]byte
	rand.Read(b[:])
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// upgradeWanted is the protocol that the client asks to switch to. It is
// false for a Connection that says upgrade without saying to what. h2c is
// not passed on: requests inside it would go past the router.
func upgradeWanted(r *http.Request) (protocol string, ok bool) {
	if r.ProtoMajor != 1 || r.ProtoMinor < 1 || !httpguts.HeaderValuesContainsToken(r.Header["Connection"], "upgrade") {
		return "", true
	}
	protocol = r.Header.Get("Upgrade")
	if strings.EqualFold(protocol, "h2c") {
		return "", true
	}
	return protocol, protocol != ""
}
