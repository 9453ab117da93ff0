package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"math"
	"regexp"
	"strings"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/gofiber/fiber/v2"
)

// request is what goes with a request wherever it leads: into the log and into
// its event.
type request struct {
	id          string // the router's, if it is safe to log
	traceparent string // https://www.w3.org/TR/trace-context/
}

type requestKey struct{}

func requestOf(ctx context.Context) request {
	r, _ := ctx.Value(requestKey{}).(request)
	return r
}

func (r request) traceID() string { return r.traceparent[3:35] }

var (
	safeID = regexp.MustCompile(`^[A-Za-z0-9._-]{1,128}$`)
	trace  = regexp.MustCompile(`^00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}$`)
)

// requestFrom reads the headers. A trace that came along goes on; else one
// begins here.
func requestFrom(c *fiber.Ctx) request {
	r := request{c.Get("X-Request-Id"), c.Get("traceparent")}
	if !safeID.MatchString(r.id) {
		r.id = rand.Text()
	}
	m := trace.FindStringSubmatch(r.traceparent)
	if m == nil || strings.Trim(m[1], "0") == "" || strings.Trim(m[2], "0") == "" {
		var random [24]byte
		rand.Read(random[:])
		r.traceparent = fmt.Sprintf("00-%x-%x-01", random[:16], random[16:])
	}
	return r
}

// requestLog adds to each line which request it is about.
type requestLog struct{ slog.Handler }

func (h requestLog) Handle(ctx context.Context, line slog.Record) error {
	if r := requestOf(ctx); r.id != "" {
		line.AddAttrs(slog.String("request_id", r.id), slog.String("trace_id", r.traceID()))
	}
	return h.Handler.Handle(ctx, line)
}

// counters has what GET /metrics shows of this process.
type counters struct{ *metrics.Set }

func newCounters(outbox *Outbox) counters {
	c := counters{metrics.NewSet()}
	c.NewGauge("outbox_events", func() float64 {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		n, err := outbox.Length(ctx)
		if err != nil {
			return math.NaN()
		}
		return float64(n)
	})
	return c
}

func (c counters) count(method, route string, status int, took time.Duration, cache string) {
	c.GetOrCreateCounter(fmt.Sprintf(`http_requests_total{method=%q,route=%q,status="%d"}`, method, route, status)).Inc()
	c.GetOrCreatePrometheusHistogram(fmt.Sprintf(`http_request_duration_seconds{method=%q,route=%q}`, method, route)).Update(took.Seconds())
	if cache != "" {
		c.GetOrCreateCounter(fmt.Sprintf(`cache_reads_total{result=%q}`, cache)).Inc()
	}
}

func (c counters) show(ctx *fiber.Ctx) error {
	ctx.Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	c.WritePrometheus(ctx)
	return nil
}

// observe gives each request its ids and a deadline, counts it, and logs how it
// ended.
func (n counters) observe(c *fiber.Ctx) error {
	started, r := time.Now(), requestFrom(c)
	ctx, cancel := context.WithTimeout(context.WithValue(context.Background(), requestKey{}, r), requestTimeout)
	defer cancel()
	c.SetUserContext(ctx)
	c.Set("X-Request-Id", r.id)
	err := next(c)
	if err != nil {
		err = answerError(c, err)
	}
	took, route, status, cache := time.Since(started), routeOf(c), c.Response().StatusCode(), c.GetRespHeader("X-Cache")
	n.count(c.Method(), route, status, took, cache)
	slog.InfoContext(ctx, "request", "method", c.Method(), "path", c.Path(), "route", route, "status", status,
		"ms", took.Milliseconds(), "cache", cache)
	return err
}

// next makes an error of a panic.
func next(c *fiber.Ctx) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", errDefect, r)
		}
	}()
	return c.Next()
}

// routeOf is the route as openapi.yaml writes it, so that there are few.
func routeOf(c *fiber.Ctx) string {
	switch path := c.Route().Path; {
	case path == "/users/:id":
		return "/users/{id}"
	case c.Path() == path:
		return path
	default:
		return "other"
	}
}
