package instance

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"

	"niwa/platform/api/listener"
	"niwa/platform/pki"
)

// sockets are the instance's open listeners, and the URLs that lead to them.
type sockets struct {
	api, router, routerTLS, rendezvous net.Listener
}

// listen opens every socket before anything is started, so that a port in use
// is found while nothing can be left half done.
func (i *Instance) listen(ca *pki.Authority) (*sockets, error) {
	var s sockets
	for _, want := range []struct {
		to         *net.Listener
		addr, flag string
	}{
		{&s.api, i.cfg.API, "--api"},
		{&s.router, i.cfg.Router, "--router"},
		{&s.routerTLS, i.cfg.RouterTLS, "--router-tls"},
		{&s.rendezvous, "127.0.0.1:0", ""},
	} {
		ln, err := net.Listen("tcp", want.addr)
		if errors.Is(err, syscall.EADDRINUSE) {
			return nil, fmt.Errorf("something else listens on %s; stop it, or choose another address with %s", want.addr, want.flag)
		}
		if err != nil {
			return nil, fmt.Errorf("cannot listen on %s (%s): %w", want.addr, want.flag, err)
		}
		i.onStop(func(context.Context) error { return closeListener(ln) })
		*want.to = ln
	}
	s.api = listener.New(s.api, ca.ServerConfig(isHeroku))
	s.rendezvous = tls.NewListener(s.rendezvous, ca.ServerConfig(nil))
	i.listeners = []Listener{
		{"API", s.apiURL("http")},
		{"router", "http://" + s.router.Addr().String()},
		{"router (TLS)", "https://" + s.routerTLS.Addr().String()},
		{"rendezvous", "rendezvous://" + s.rendezvous.Addr().String()},
	}
	return &s, nil
}

// closeListener closes a listener that its server may have closed already.
func closeListener(ln net.Listener) error {
	if err := ln.Close(); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// isHeroku says for which of Heroku's names the API has a certificate: those
// that the official client cannot be talked out of, and reaches through
// HTTP_PROXY.
func isHeroku(name string) bool {
	return strings.HasSuffix(name, ".heroku.com") || strings.HasSuffix(name, ".herokai.com")
}

// apiURL names the API as localhost: the only name that the official client
// sends its token to.
func (s *sockets) apiURL(scheme string) string {
	return fmt.Sprintf("%s://localhost:%d", scheme, port(s.api))
}

func (s *sockets) routerURL(host string) string {
	return fmt.Sprintf("http://%s:%d/", host, port(s.router))
}

func (s *sockets) gitURL(app string) string {
	return fmt.Sprintf("%s/%s.git", s.apiURL("https"), app)
}

func (s *sockets) attachURL(secret string) string {
	return fmt.Sprintf("rendezvous://localhost:%d/%s", port(s.rendezvous), secret)
}

func port(ln net.Listener) int { return ln.Addr().(*net.TCPAddr).Port }
