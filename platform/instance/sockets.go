package instance

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"

	"niwa/platform/api/listener"
	"niwa/platform/pki"
	"niwa/router/follow"
)

// sockets are the instance's open listeners, and the URLs that lead to them.
type sockets struct {
	api, rendezvous   net.Listener
	router, routerTLS net.Listener // nil where others route
	followers         net.Listener

	httpAddr, httpsAddr string // where apps answer, whoever routes
}

// toOpen is a listener to open, and the flag that says where.
type toOpen struct {
	to         *net.Listener
	addr, flag string
	of         net.ListenConfig
}

// listen opens every socket before anything is started, so that a port in use
// is found while nothing can be left half done.
func (i *Instance) listen(ca *pki.Authority) (*sockets, error) {
	var s sockets
	err := i.listenAll([]toOpen{{to: &s.api, addr: i.cfg.API, flag: "--api"}, {to: &s.rendezvous, addr: "127.0.0.1:0"}})
	if err == nil {
		err = i.listenForApps(&s)
	}
	if err != nil {
		return nil, err
	}
	if s.followers, err = follow.Listen(follow.Dir(i.cfg.Data)); err != nil {
		return nil, err
	}
	i.onStop(func(context.Context) error { return closeListener(s.followers) })
	s.api = listener.New(s.api, ca.ServerConfig(isHeroku))
	s.rendezvous = tls.NewListener(s.rendezvous, ca.ServerConfig(nil))
	i.listeners = append([]Listener{{"API", s.apiURL("http")}}, i.listeners...)
	i.listeners = append(i.listeners, Listener{"rendezvous", "rendezvous://" + s.rendezvous.Addr().String()})
	return &s, nil
}

// listenForApps opens what a router listens on.
func (i *Instance) listenForApps(s *sockets) error {
	s.httpAddr, s.httpsAddr = i.cfg.Router, i.cfg.RouterTLS
	if i.cfg.NoRouter {
		return nil
	}
	unwatched := net.ListenConfig{KeepAlive: -1} // the router's own clocks do it, for less
	err := i.listenAll([]toOpen{
		{&s.router, i.cfg.Router, "--router", unwatched}, {&s.routerTLS, i.cfg.RouterTLS, "--router-tls", unwatched},
	})
	if err != nil {
		return err
	}
	s.httpAddr, s.httpsAddr = s.router.Addr().String(), s.routerTLS.Addr().String()
	i.listeners = append(i.listeners, Listener{"router", "http://" + s.httpAddr}, Listener{"router (TLS)", "https://" + s.httpsAddr})
	return nil
}

func (i *Instance) listenAll(all []toOpen) error {
	for _, want := range all {
		ln, err := want.of.Listen(context.Background(), "tcp", want.addr)
		if errors.Is(err, syscall.EADDRINUSE) {
			return fmt.Errorf("something else listens on %s; stop it, or choose another address with %s", want.addr, want.flag)
		}
		if err != nil {
			return fmt.Errorf("cannot listen on %s (%s): %w", want.addr, want.flag, err)
		}
		*want.to = newPatient(ln, cmp.Or(want.flag, "rendezvous"), i.cfg.Log)
		i.onStop(func(context.Context) error { return closeListener(*want.to) })
	}
	return nil
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
	_, port, _ := net.SplitHostPort(s.httpAddr) // which was listened on, or checked as a flag
	return fmt.Sprintf("http://%s:%s/", host, port)
}

func (s *sockets) gitURL(app string) string {
	return fmt.Sprintf("%s/%s.git", s.apiURL("https"), app)
}

func (s *sockets) attachURL(secret string) string {
	return fmt.Sprintf("rendezvous://localhost:%d/%s", port(s.rendezvous), secret)
}

func port(ln net.Listener) int { return ln.Addr().(*net.TCPAddr).Port }
