// Package router is the platform's HTTP router, in the manner of Heroku's
// Router 2.0: it finds the app of a request by its Host, gives the request to
// one of the app's web dynos and streams the answer back, and says in one log
// line and one H-code what became of it
// (https://devcenter.heroku.com/articles/http-routing).
//
// It never calls the control plane. Everything it knows is a route.Table,
// given to it whole, of which one request sees one version at a time.
package router

import (
	"context"
	"crypto/tls"
	"errors"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"time"

	"niwa/router/policy"
	"niwa/router/route"
)

// Config is what a router needs. Routes and Log are required.
type Config struct {
	Routes *route.Live
	// Log takes the log line of each request as it ends, without the
	// "<time> heroku[router]: " before it: printable, on one line. It is
	// called from many goroutines, and a request waits for it.
	Log func(appID, line string)
	// TLS holds the certificates of ServeTLS.
	TLS *tls.Config
	// Timeouts that are zero are Heroku's.
	Timeouts Timeouts
}

// Timeouts are the router's clocks.
type Timeouts struct {
	Connect    time.Duration // 5 s: one TCP connect to a dyno
	Queue      time.Duration // 75 s: from arrival until a dyno took the connection
	FirstByte  time.Duration // 30 s: from the whole request sent until the dyno's first byte
	Idle       time.Duration // 55 s: between two bytes once the answer began, and of an upload
	Client     time.Duration // 60 s: a client's header block, and its idle keep-alive
	KeepAlive  time.Duration // 90 s: an idle pooled connection to a dyno
	Quarantine time.Duration // 5 s: how long a dyno that took no connection is left out
}

func (t Timeouts) orHeroku() Timeouts {
	set := func(d *time.Duration, seconds time.Duration) {
		if *d == 0 {
			*d = seconds * time.Second
		}
	}
	set(&t.Connect, 5)
	set(&t.Queue, 75)
	set(&t.FirstByte, 30)
	set(&t.Idle, 55)
	set(&t.Client, 60)
	set(&t.KeepAlive, 90)
	set(&t.Quarantine, 5)
	return t
}

// Router serves requests on any number of listeners.
type Router struct {
	routes   *route.Live
	log      func(appID, line string)
	timeouts Timeouts
	fleet    *fleet
	buffers  sync.Pool
	server   *http.Server

	// cut ends when requests in flight are given up, at the end of Shutdown;
	// every request's context descends from it.
	cut    context.Context
	giveUp context.CancelFunc

	gate     sync.Mutex // held to enter, so that nothing enters once shut
	shut     bool
	inFlight sync.WaitGroup
}

// New makes a router. It does nothing until it is given a listener.
func New(c Config) *Router {
	rt := &Router{
		routes:   c.Routes,
		log:      c.Log,
		timeouts: c.Timeouts.orHeroku(),
		fleet:    newFleet(c.Routes, policy.Random(rand.IntN)),
		buffers:  sync.Pool{New: func() any { return new([32 << 10]byte) }},
	}
	rt.cut, rt.giveUp = context.WithCancel(context.Background())
	rt.server = &http.Server{
		Handler:           rt,
		TLSConfig:         withHTTP2(c.TLS),
		ReadHeaderTimeout: rt.timeouts.Client,
		IdleTimeout:       rt.timeouts.Client,
		BaseContext:       func(net.Listener) context.Context { return rt.cut },
		// OPTIONS * belongs to the app.
		DisableGeneralOptionsHandler: true,
	}
	return rt
}

// withHTTP2 offers HTTP/2 from the start: the server decides once, at the first
// Serve of either kind, whether it speaks it.
func withHTTP2(config *tls.Config) *tls.Config {
	if config == nil {
		return nil
	}
	config = config.Clone()
	config.NextProtos = []string{"h2", "http/1.1"}
	return config
}

// Serve takes plain HTTP connections from ln until Shutdown, when it returns
// nil, or until ln fails.
func (rt *Router) Serve(ln net.Listener) error {
	return untilShutdown(rt.server.Serve(ln))
}

// ServeTLS is Serve for TLS connections, speaking HTTP/2 to the clients that
// can.
func (rt *Router) ServeTLS(ln net.Listener) error {
	return untilShutdown(rt.server.ServeTLS(ln, "", ""))
}

func untilShutdown(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// Shutdown drains the router: it stops accepting, closes idle connections and
// waits for the requests in flight, WebSockets included. When ctx ends first
// the rest are cut, each logged as H24, and the error is that of ctx. In any
// case every log line has been written when it returns.
func (rt *Router) Shutdown(ctx context.Context) error {
	err := rt.server.Shutdown(ctx)
	left := rt.close()
	if err == nil {
		select {
		case <-left:
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	rt.giveUp()
	err = errors.Join(err, rt.server.Close())
	<-left
	rt.fleet.close()
	return err
}

// enter counts a request in; it is false once the router has shut.
func (rt *Router) enter() bool {
	rt.gate.Lock()
	defer rt.gate.Unlock()
	if rt.shut {
		return false
	}
	rt.inFlight.Add(1)
	return true
}

// close lets nothing more enter, and returns what is closed when the last
// request has left.
func (rt *Router) close() <-chan struct{} {
	rt.gate.Lock()
	rt.shut = true
	rt.gate.Unlock()
	left := make(chan struct{})
	go func() {
		rt.inFlight.Wait()
		close(left)
	}()
	return left
}
