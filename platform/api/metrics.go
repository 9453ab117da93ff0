package api

import (
	"time"

	"niwa/platform"
	"niwa/router/metrics"
)

// A day at Heroku's resolution for it.
const (
	defaultSpan = 24 * time.Hour
	defaultStep = 10 * time.Minute
)

// routerMetrics answers
//
//	GET /apps/:app/router-metrics/latency?start_time=…&end_time=…&step=10m
//
// and the same for errors, status and throughput, with what an app's requests
// were like: {"start_time", "end_time", "step": minutes, "data": {name: [values]}}.
// heroku apps:errors and Heroku's dashboard ask api.metrics.heroku.com for the
// first three in this way; throughput is niwa's own. Without parameters it is of
// the last day; step is as fine as 10s, which is kept for two hours. A value is
// null where nothing is known: before the platform started, and for latency
// where there was no request.
func (a *API) routerMetrics(kind metrics.Kind) func(*call) (any, error) {
	return func(c *call) (any, error) {
		app, err := a.Controller.App(c.ctx, c.param("app"))
		if err != nil {
			return nil, err
		}
		now := time.Now()
		w, err := c.window(now)
		if err != nil {
			return nil, err
		}
		return metrics.Read(kind, w, app.ID, now, a.Routers...), nil
	}
}

// window is what a time series is asked for.
func (c *call) window(now time.Time) (w metrics.Window, err error) {
	bad := func(what, want string) error {
		return platform.Errorf(platform.BadRequest, "The %s in the address of the request is not %s.", what, want)
	}
	w = metrics.Window{End: now, Step: defaultStep}
	const example = "a time, such as 2026-01-02T15:04:05Z"
	if s := c.Query("end_time"); s != "" {
		if w.End, err = time.Parse(time.RFC3339, s); err != nil {
			return w, bad("end_time", example)
		}
	}
	w.Start = w.End.Add(-defaultSpan)
	if s := c.Query("start_time"); s != "" {
		if w.Start, err = time.Parse(time.RFC3339, s); err != nil {
			return w, bad("start_time", example)
		}
	}
	if s := c.Query("step"); s != "" {
		if w.Step, err = time.ParseDuration(s); err != nil {
			return w, bad("step", "a time, such as 10m")
		}
	}
	if err := w.Check(); err != nil {
		return w, platform.Errorf(platform.BadRequest, "The time that is asked for cannot be had: %s.", err)
	}
	return w, nil
}
