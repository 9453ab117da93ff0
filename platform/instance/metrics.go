package instance

import (
	"context"
	"errors"
	"net/http"

	"niwa/router/follow"
	"niwa/router/metrics"
	"niwa/router/route"
)

// listenForMetrics opens where Prometheus asks about the router that is here.
func (i *Instance) listenForMetrics() error {
	if i.cfg.NoRouter {
		return nil
	}
	if err := i.listenAll([]toOpen{{to: &i.metrics, addr: i.cfg.Metrics, flag: "--metrics"}}); err != nil {
		return err
	}
	i.listeners = append(i.listeners, Listener{"metrics", i.metricsURL()})
	return nil
}

// metricsURL is empty where no router is.
func (i *Instance) metricsURL() string {
	if i.metrics == nil {
		return ""
	}
	return "http://" + i.metrics.Addr().String() + "/metrics"
}

// wireMetrics is called before what stops the router, so that one can watch it
// drain.
func (i *Instance) wireMetrics() {
	i.prometheus = metrics.Server(i.cfg.Version, i.router.Collector())
	i.onStop(func(context.Context) error { return i.prometheus.Close() })
}

func (i *Instance) serveMetrics() error {
	if err := i.prometheus.Serve(i.metrics); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// wireHistory is what the API tells the history of apps from: what the router
// here counts, and what others say in their log lines.
func (i *Instance) wireHistory(routes *route.Table) (all []*metrics.Metrics) {
	if i.router != nil {
		all = append(all, i.router.Metrics())
	}
	i.onStop(running(func(ctx context.Context) { i.elsewhere.Run(ctx, routes) }))
	return append(all, i.elsewhere)
}

// countLines counts the requests that others routed.
func countLines(m *metrics.Metrics, apps *route.Table, lines []follow.Line) {
	for _, l := range lines {
		if app, ok := apps.App(l.App); ok && l.Dropped == 0 {
			m.Logged(app, l.Text)
		}
	}
}
