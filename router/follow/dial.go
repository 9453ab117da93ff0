package follow

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	// Path is where the API has routers follow by URL, and Protocol what a
	// connection that comes there is upgraded to.
	Path     = "/niwa/routes"
	Protocol = "niwa-routes"
	// dialTime is how long it may take until the platform listens.
	dialTime = 10 * time.Second
)

// Dial connects a router to its platform.
type Dial func(context.Context) (net.Conn, error)

// Socket has a router on this machine follow the platform that Dir is of.
func Socket(dir string) Dial {
	return func(context.Context) (net.Conn, error) { return net.Dial("unix", socket(dir)) }
}

// URL has a router follow the platform whose API is at base, with a token of
// its account. The token goes in the clear to this machine only.
func URL(base, token string, roots *x509.CertPool) (Dial, error) {
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("%q is no URL of a platform, such as https://niwa.example.com:5100", base)
	}
	if u.Scheme == "http" && !isHere(u.Hostname()) {
		return nil, fmt.Errorf("%s would have the token be read on its way; say https", base)
	}
	if token == "" {
		return nil, fmt.Errorf("there is no token for %s; put one into HEROKU_API_KEY", base)
	}
	addr := u.Host
	if u.Port() == "" {
		addr = net.JoinHostPort(u.Hostname(), u.Scheme)
	}
	return func(ctx context.Context) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, dialTime)
		defer cancel()
		var conn net.Conn
		var err error
		if u.Scheme == "https" {
			dialer := tls.Dialer{Config: &tls.Config{RootCAs: roots, NextProtos: []string{"http/1.1"}}}
			conn, err = dialer.DialContext(ctx, "tcp", addr)
		} else {
			var dialer net.Dialer
			conn, err = dialer.DialContext(ctx, "tcp", addr)
		}
		if err != nil {
			return nil, err
		}
		return upgrade(conn, u.Host, token)
	}, nil
}

func isHere(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// upgrade asks the API for the connection to become one that is followed over.
func upgrade(conn net.Conn, host, token string) (net.Conn, error) {
	in := bufio.NewReader(conn)
	resp, err := ask(conn, in, host, token)
	if err == nil && resp.StatusCode == http.StatusSwitchingProtocols {
		return &read{conn, in}, conn.SetDeadline(time.Time{})
	}
	conn.Close()
	if err == nil {
		said, _ := io.ReadAll(io.LimitReader(resp.Body, 500))
		err = fmt.Errorf("%w: %s answered %s: %s", errBad, host, resp.Status, strings.TrimSpace(string(said)))
	}
	return nil, err
}

func ask(conn net.Conn, in *bufio.Reader, host, token string) (*http.Response, error) {
	if err := conn.SetDeadline(time.Now().Add(dialTime)); err != nil {
		return nil, err
	}
	req, err := http.NewRequest(http.MethodGet, "http://"+host+Path, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", Protocol)
	if err := req.Write(conn); err != nil {
		return nil, err
	}
	return http.ReadResponse(in, req)
}

// read is a connection of which some has been read already.
type read struct {
	net.Conn
	in *bufio.Reader
}

func (r *read) Read(p []byte) (int, error) { return r.in.Read(p) }
