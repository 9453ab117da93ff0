package router

import (
	"crypto/tls"
	"net"
	"strings"
)

// origin is where the requests of a connection come from and how.
type origin struct {
	peer     string // address, without port
	port     string // the one that was connected to
	protocol string // http1.1, as logged; empty until a request says it
	via      string // the version in Via
	scheme   string
	tls      string // tls1.3; empty on a plain connection
	server   string // the host that the client named in TLS; empty for none
}

func originOf(c net.Conn, state *tls.ConnectionState) origin {
	o := origin{peer: hostOf(c.RemoteAddr()), port: portOf(c.LocalAddr()), via: "1.1", scheme: "http"}
	if state != nil {
		o.scheme = "https"
		o.tls, o.server = tlsName(state.Version), state.ServerName
	}
	return o
}

// tlsName is a version of TLS as it is logged: tls1.3.
func tlsName(version uint16) string {
	return strings.ToLower(strings.ReplaceAll(tls.VersionName(version), " ", ""))
}

func hostOf(a net.Addr) string {
	host, _, err := net.SplitHostPort(a.String())
	if err != nil {
		return a.String()
	}
	return host
}

func portOf(a net.Addr) string {
	_, port, err := net.SplitHostPort(a.String())
	if err != nil {
		return "80"
	}
	return port
}
