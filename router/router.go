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
	"net"
	"sync"
	"sync/atomic"
	"time"

	"niwa/router/metrics"
	"niwa/router/route"
)

// Config is what a router needs. Routes and Log are required.
type Config struct {
	Routes *route.Table
	// Log takes the log line of each request as it ends, without the
	// "<time> heroku[router]: " before it: printable, on one line. It is
	// called from many goroutines, and a request waits for it. The line is
	// Log's only until it returns.
	Log func(appID string, line []byte)
	// TLS holds the certificates of ServeTLS.
	TLS *tls.Config
	// Timeouts that are zero are Heroku's.
	Timeouts   Timeouts
	Strictness Strictness
	// Limits that are zero are as documented.
	Limits Limits
	// Crowded, if there is one, is told each time that clients begin to wait because
	// there are as many as that.
	Crowded func(clients int)
}

// Strictness is what becomes of a client's connection after a request with both
// a Content-Length and chunks, of which the latter count.
type Strictness string

// What there is of it; none is Strict.
const (
	Strict Strictness = "strict" // it is closed after the answer (RFC 9112 §6.1)
	Heroku Strictness = "heroku" // it stays open
)

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
	routes    *route.Table
	log       func(appID string, line []byte)
	timeouts  Timeouts
	lenient   bool
	limits    Limits
	crowd     crowd
	places    chan struct{} // one for each client there may be
	crowded   func(clients int)
	tower     tower
	tls       *tls.Config
	fleet     *fleet
	buffers   buffers
	large     buffers
	scratches sync.Pool // of *scratch
	edge      *edge     // of HTTP/2
	metrics   *metrics.Metrics

	// cut ends when requests in flight are given up, at the end of Shutdown.
	cut      context.Context
	giveUp   context.CancelFunc
	draining atomic.Bool
	begin    sync.Once // of sweeping, which ends with cut

	mu        sync.Mutex
	listeners map[net.Listener]struct{}
	conns     map[*conn]struct{}
	clients   sync.WaitGroup // one for each of conns
}

// New makes a router. It does nothing until it is given a listener.
func New(c Config) *Router {
	rt := &Router{
		routes: c.Routes, log: c.Log, timeouts: c.Timeouts.orHeroku(), lenient: c.Strictness == Heroku, limits: c.Limits.orDefault(),
		buffers: buffers{size: bufferSize}, large: buffers{size: largeSize},
		listeners: make(map[net.Listener]struct{}), conns: make(map[*conn]struct{}),
	}
	rt.places = make(chan struct{}, rt.limits.Clients)
	if rt.crowded = c.Crowded; rt.crowded == nil {
		rt.crowded = func(int) {}
	}
	rt.crowd = crowd{most: rt.limits.ClientsPerApp, size: make(map[string]int)}
	rt.tower.every = rt.timeouts.sweepEvery()
	rt.tower.built = time.Now()
	rt.metrics = metrics.New(time.Now())
	rt.fleet = newFleet(c.Routes, &rt.tower, rt.timeouts.KeepAlive)
	rt.cut, rt.giveUp = context.WithCancel(context.Background())
	rt.edge = newEdge(rt)
	rt.tls = rt.offering(c.TLS)
	return rt
}

// Serve takes plain HTTP connections from ln until Shutdown, when it returns
// nil, or until ln fails.
func (rt *Router) Serve(ln net.Listener) error {
	return rt.accept(ln, func(c net.Conn, leave func()) {
		defer leave()
		raw := rawConn(c)
		rt.newConn(c, originOf(c, nil), raw, func() bool { return raw != nil && hungUp(raw) }).serve()
	})
}

// ServeTLS is Serve for TLS connections, speaking HTTP/2 to the clients that
// can.
func (rt *Router) ServeTLS(ln net.Listener) error {
	return rt.accept(ln, rt.serveTLS)
}

// accept gives every connection to a goroutine of its own, once there is a place
// for it, which it is to leave.
func (rt *Router) accept(ln net.Listener, serve func(c net.Conn, leave func())) error {
	if !rt.listenOn(ln) {
		return ln.Close()
	}
	rt.begin.Do(func() {
		rt.tower.strike(time.Now())
		go rt.sweep()
		go rt.metrics.Run(rt.cut, rt.routes)
	})
	leave := func() { <-rt.places }
	for pause := time.Millisecond; ; {
		rt.take()
		c, err := ln.Accept()
		if err != nil {
			leave()
		}
		switch {
		case err == nil:
			pause = time.Millisecond
			go serve(c, leave)
		case rt.draining.Load():
			return nil
		case exhausted(err):
			time.Sleep(pause) // until some client has left
			pause = min(2*pause, time.Second)
		default:
			return err
		}
	}
}

// take takes a place, once there is one.
func (rt *Router) take() {
	select {
	case rt.places <- struct{}{}:
	default:
		rt.crowded(rt.limits.Clients)
		rt.places <- struct{}{}
	}
}

// listenOn has Shutdown close a listener; it is false when that has begun.
func (rt *Router) listenOn(ln net.Listener) bool {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	rt.listeners[ln] = struct{}{}
	return !rt.draining.Load()
}

// admit takes a connection in; it is false once the router drains.
func (rt *Router) admit(c *conn) bool {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	if rt.draining.Load() {
		return false
	}
	rt.conns[c] = struct{}{}
	rt.clients.Add(1)
	c.counts().Begin()
	return true
}

func (rt *Router) dismiss(c *conn) {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	delete(rt.conns, c)
	rt.crowd.move(c.exchange.among, "")
	rt.clients.Done()
	c.counts().End()
}

// Shutdown drains the router: it stops accepting, closes idle connections and
// waits for the requests in flight, WebSockets included. When ctx ends first
// the rest are cut, each logged as H24, and the error is that of ctx. In any
// case every log line has been written when it returns.
func (rt *Router) Shutdown(ctx context.Context) error {
	err := rt.drain()
	left := make(chan struct{})
	go func() {
		rt.clients.Wait()
		close(left)
	}()
	err = errors.Join(err, rt.edge.shutdown(ctx))
	select {
	case <-left:
	case <-ctx.Done():
		err = errors.Join(err, ctx.Err())
		rt.cutAll()
		<-left
	}
	rt.giveUp()
	rt.fleet.close()
	return err
}

// drain stops accepting, and ends the connections that have no request.
func (rt *Router) drain() (err error) {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	rt.draining.Store(true)
	for ln := range rt.listeners {
		err = errors.Join(err, ln.Close())
	}
	for c := range rt.conns {
		if !c.busy.Load() {
			c.read.interrupt()
		}
	}
	return err
}

// cutAll gives up every request.
func (rt *Router) cutAll() {
	rt.giveUp()
	rt.mu.Lock()
	defer rt.mu.Unlock()
	for c := range rt.conns {
		x := &c.exchange
		x.mu.Lock()
		x.abort(forcedClose)
		x.mu.Unlock()
		c.stop()
	}
}
