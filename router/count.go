package router

import (
	"net"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"

	"niwa/router/metrics"
)

// Metrics is what the router counts. Record is called while it serves.
func (rt *Router) Metrics() *metrics.Metrics { return rt.metrics }

// Collector has Prometheus read what the router counts.
func (rt *Router) Collector() prometheus.Collector { return rt.metrics.Collector(rt.fleet.dynos) }

// dynos are the dynos that had a request since the routes have them.
func (f *fleet) dynos() (all []metrics.Dyno) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.prune()
	for key, b := range f.backends {
		if of := f.formations[key.app]; of != nil {
			all = append(all, metrics.Dyno{App: of.app.Name, Name: key.dyno.Name, InFlight: b.seen.InFlight, Idle: len(b.idle), Quarantined: b.isQuarantined()})
		}
	}
	return all
}

// countIn counts the request in, with its app.
func (x *exchange) countIn() {
	if !x.counted.Counts(x.app.ID) {
		x.counted = x.rt.metrics.App(x.app.ID, x.app.Name)
	}
	x.counted.Begin()
}

// countOut counts what became of the request, as its log line says it. Nothing
// reads from the client for it any more.
func (x *exchange) countOut() {
	r := metrics.Request{
		Policy: x.app.Routing.Policy, Dyno: x.line.dyno, Status: x.line.status,
		Connect: x.line.connect, Service: x.line.service, In: x.received, Out: x.line.bytes,
	}
	if x.line.code != "" {
		r.Code = x.line.code.number()
	}
	x.counted.End(r)
}

// counts is what the connection is counted as: one on which a stream is served
// is no connection of a client.
func (c *conn) counts() *metrics.Open {
	if c.protocol != "" {
		return &c.rt.metrics.Clients.Streams
	}
	return &c.rt.metrics.Clients.HTTP1
}

// count counts connections of HTTP/2, as http.Server.ConnState.
func (e *edge) count(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		e.rt.metrics.Clients.HTTP2.Begin()
	case http.StateClosed:
		e.rt.metrics.Clients.HTTP2.End()
	}
}
