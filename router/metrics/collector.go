package metrics

import (
	"cmp"
	"fmt"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// Dyno is how a dyno is to a router at the moment.
type Dyno struct {
	App, Name   string
	InFlight    int // requests that it has
	Idle        int // connections to it that wait for one
	Quarantined bool
}

// heroku is the policy of apps that have chosen none.
const heroku = "random"

type collector struct {
	*Metrics
	dynos func() []Dyno
}

// Collector has Prometheus read what is counted, and how the dynos are.
func (m *Metrics) Collector(dynos func() []Dyno) prometheus.Collector { return collector{m, dynos} }

// Describe says nothing: which metrics there are depends on the traffic.
func (c collector) Describe(chan<- *prometheus.Desc) {}

// Collect sends what there is to read.
func (c collector) Collect(to chan<- prometheus.Metric) {
	c.collectApps(to)
	c.collectDynos(to)
	c.collectClients(to)
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("niwa_router_"+name, help, labels, nil)
}

func counter(d *prometheus.Desc, n uint64, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
}

func gauge[N int | int64](d *prometheus.Desc, n N, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(n), labels...)
}

func (c collector) collectApps(to chan<- prometheus.Metric) {
	requests := desc("requests_total", "Requests that have ended. Those for no app are without one.", "app", "dyno", "code", "status", "policy")
	service := desc("service_duration_seconds", "For how long dynos had requests, but for those that became tunnels.", "app")
	connect := desc("connect_duration_seconds", "How long connections to dynos took to make.", "app")
	inFlight := desc("requests_in_flight", "Requests that have not ended.", "app")
	queued := desc("requests_queued", "Requests that wait for a dyno.", "app")
	received := desc("received_bytes_total", "Bytes of requests, as they came from clients.", "app")
	sent := desc("sent_bytes_total", "Bytes of answers, as they came from dynos and went to clients.", "app")
	histogram := func(d *prometheus.Desc, h *histogram, name string) {
		atMost, count, seconds := h.cumulative()
		to <- prometheus.MustNewConstHistogram(d, count, seconds, atMost, name)
	}
	for name, a := range c.named() {
		for policy, byName := range *a.dynos.Load() {
			for dyno, d := range byName {
				d.each(func(n uint64, code string, class int) {
					to <- counter(requests, n, name, dyno, code, className(class), cmp.Or(policy, heroku))
				})
			}
		}
		histogram(service, &a.service, name)
		histogram(connect, &a.connect, name)
		to <- gauge(inFlight, a.inFlight.Load(), name)
		to <- gauge(queued, a.queued.Load(), name)
		to <- counter(received, a.in.n.Load(), name)
		to <- counter(sent, a.out.n.Load(), name)
	}
	to <- counter(requests, c.noSuchApp.Load(), "", "", "", "4xx", "")
}

// each yields how many requests there were, by code and class of status.
func (d *dyno) each(yield func(n uint64, code string, class int)) {
	for class := range d.classes {
		if n := d.classes[class].Load(); n > 0 {
			yield(n, "", class)
		}
	}
	for f, t := range *d.failed.Load() {
		yield(t.n.Load(), f.code, f.class)
	}
}

// className is 2xx for what begins with a 2.
func className(class int) string {
	if class == 0 {
		return ""
	}
	return strconv.Itoa(class) + "xx"
}

func (c collector) collectDynos(to chan<- prometheus.Metric) {
	inFlight := desc("dyno_requests_in_flight", "Requests that a dyno has.", "app", "dyno")
	idle := desc("dyno_idle_connections", "Connections to a dyno that wait for a request.", "app", "dyno")
	quarantined := desc("dyno_quarantined", "Whether a dyno is left out because it took no connection.", "app", "dyno")
	all := map[[2]string]Dyno{}
	for _, d := range c.dynos() { // two have the same name while one takes the place of the other
		sum := all[[2]string{d.App, d.Name}]
		all[[2]string{d.App, d.Name}] = Dyno{d.App, d.Name, d.InFlight + sum.InFlight, d.Idle + sum.Idle, d.Quarantined || sum.Quarantined}
	}
	for _, d := range all {
		to <- gauge(inFlight, d.InFlight, d.App, d.Name)
		to <- gauge(idle, d.Idle, d.App, d.Name)
		to <- gauge(quarantined, map[bool]int{true: 1}[d.Quarantined], d.App, d.Name)
	}
}

func (c collector) collectClients(to chan<- prometheus.Metric) {
	connections := desc("client_connections", "Connections of clients.", "protocol")
	to <- gauge(connections, c.Clients.HTTP1.now(), "http1")
	to <- gauge(connections, c.Clients.HTTP2.now(), "http2")
	to <- gauge(desc("http2_streams", "Streams of HTTP/2 that are open."), c.Clients.Streams.now())
	to <- counter(desc("http2_streams_total", "Streams of HTTP/2 that were opened."), c.Clients.Streams.begun.Load())

	handshakes := desc("tls_handshakes_total", "Handshakes of TLS, by the version agreed on.", "version")
	for minor := range c.Clients.handshakes {
		if n := c.Clients.handshakes[minor].Load(); n > 0 {
			to <- counter(handshakes, n, fmt.Sprintf("1.%d", minor))
		}
	}
	to <- counter(desc("tls_handshake_failures_total", "Handshakes of TLS that came to nothing."), c.Clients.failed.Load())

	refused := desc("refused_requests_total", "What clients sent that was no request, by the status of the answer.", "status")
	for status := range c.refused {
		if n := c.refused[status].Load(); n > 0 {
			to <- counter(refused, n, strconv.Itoa(status))
		}
	}
}

// named is what is counted of apps, by name. Two may have had the same; it is of
// the one that got it last.
func (m *Metrics) named() map[string]*App {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make(map[string]*App, len(m.apps))
	for _, a := range m.apps {
		if rival, taken := all[a.name]; !taken || rival.named < a.named {
			all[a.name] = a
		}
	}
	if m.crowded() {
		all[others] = m.others
	}
	return all
}
