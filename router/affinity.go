package router

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"

	"niwa/router/wire"
)

// A client of an app that has session affinity is kept with a dyno by a cookie
// (https://devcenter.heroku.com/articles/session-affinity), which the dyno sees
// too, as on Heroku. Its value, the dyno's badge, is the same for every router
// and for whatever runs under the dyno's name next; it tells of no address, and
// who makes one up gets at most to another dyno of the same app.
const (
	affinityCookie = "heroku-session-affinity="
	affinityRules  = "; Max-Age=86400; Path=/; HttpOnly"
)

func badgeOf(key backendKey) string {
	sum := sha256.Sum256([]byte(key.app + " " + key.dyno.Name))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// appendBadge appends the badge that the client brings, where that counts.
func (x *exchange) appendBadge(dst []byte) []byte {
	if !x.app.Routing.Affinity {
		return dst
	}
	r := &x.conn.req
	for _, f := range r.Fields() {
		if f.Kind != wire.Cookie {
			continue
		}
		for pair := range bytes.SplitSeq(r.Value(f), []byte(";")) {
			if badge, ok := bytes.CutPrefix(bytes.TrimLeft(pair, " "), []byte(affinityCookie)); ok {
				return append(dst, badge...)
			}
		}
	}
	return dst
}

// appendAffinity gives the client the badge of the dyno that answers, unless it
// has brought that.
func (x *exchange) appendAffinity(dst []byte) []byte {
	if !x.app.Routing.Affinity || string(x.badge) == x.backend.badge {
		return dst
	}
	dst = append(append(append(dst, "Set-Cookie: "+affinityCookie...), x.backend.badge...), affinityRules...)
	if x.conn.scheme == "https" {
		dst = append(dst, "; Secure"...)
	}
	return append(dst, "\r\n"...)
}
