package router

import (
	"crypto/tls"
	"strings"

	"niwa/router/route"
)

// mismatched says whether a request is for a host that the connection's
// certificate is not for: the client named one in TLS, and another in Host, as a
// proxy before Heroku does that keeps the Host it was asked for
// (https://help.heroku.com/KJRAJJW5). The certificate is the one that would be
// shown now, which a resumed connection was not shown anew.
func (x *exchange) mismatched() bool {
	name := x.conn.server
	if name == "" || x.rt.tls.GetCertificate == nil {
		return false
	}
	host, _ := route.Host(x.host) // it led to an app
	if strings.EqualFold(name, host) {
		return false
	}
	c, err := x.rt.tls.GetCertificate(&tls.ClientHelloInfo{ServerName: name})
	return err != nil || c.Leaf == nil || c.Leaf.VerifyHostname(host) != nil
}
