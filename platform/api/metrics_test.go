package api

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"niwa/router/metrics"
	routing "niwa/router/route"
)

func TestAnAppsLastDayAtTheRoutersCanBeAskedFor(t *testing.T) {
	t.Parallel()
	s := open(t)
	id := s.app("garden").text("id")
	yesterday := time.Now().Add(-25 * time.Hour)
	here, elsewhere := metrics.New(yesterday), metrics.New(yesterday)
	s.api.Routers = []*metrics.Metrics{here, elsewhere}
	for _, m := range s.api.Routers {
		m.Record(time.Now(), routing.New())
		a := m.App(id, "garden")
		a.Begin()
		a.End(metrics.Request{Dyno: "web.1", Code: "H12", Status: 503, Service: 30 * time.Second, In: 1, Out: 2})
	}
	// As heroku apps:errors asks, and Heroku's dashboard.
	const clock = "2006-01-02T15:04:05.000Z"
	last := "?process_type=web&step=1h&start_time=" + time.Now().UTC().Add(-24*time.Hour).Format(clock) + "&end_time=" + time.Now().UTC().Format(clock)
	errors := s.do("GET", "/apps/garden/router-metrics/errors"+last, nil).want(200)
	hours := make([]any, 25)
	for i := range hours {
		hours[i] = 0.0
	}
	hours[24] = 2.0
	if diff := cmp.Diff(map[string]any{"H12": hours}, errors.at("data")); diff != "" || errors.at("step") != 60.0 {
		t.Errorf("%s\n%s", diff, errors.body)
	}
	status := s.do("GET", "/apps/"+id+"/router-metrics/status?step=10m", nil).want(200)
	if n := len(status.at("data", "503").([]any)); n != 145 {
		t.Errorf("a day has %d steps of ten minutes: %s", n, status.body)
	}
	latency := s.do("GET", "/apps/garden/router-metrics/latency"+last, nil).want(200).at("data", "latency.ms.p50").([]any)
	if latency[0] != nil || latency[24].(float64) < 28_000 {
		t.Errorf("half of the requests took %v", latency)
	}
	if in := s.do("GET", "/apps/garden/router-metrics/throughput?step=1h", nil).want(200).at("data", "bytes.in").([]any); in[len(in)-1] != 2.0 {
		t.Errorf("clients have sent %v", in)
	}
	s.app("quiet")
	if quiet := s.do("GET", "/apps/quiet/router-metrics/errors", nil).want(200); len(quiet.at("data").(map[string]any)) != 0 {
		t.Errorf("of an app without a request: %s", quiet.body)
	}

	s.do("GET", "/apps/nobody/router-metrics/errors", nil).want(404)
	s.send("GET", "/apps/garden/router-metrics/errors", nil).want(401)
	for query, want := range map[string]string{
		"step=1": "step", "step=90s": "step", "step=-1m": "step", "step=10s": "more than", "end_time=yesterday": "end_time",
		"start_time=" + url.QueryEscape("2026-01-01 00:00"): "start_time", "start_time=9999-01-01T00:00:00Z": "after",
	} {
		if got := s.do("GET", "/apps/garden/router-metrics/errors?"+query, nil).want(400); !strings.Contains(got.text("message"), want) {
			t.Errorf("%s: %s", query, got.body)
		}
	}
}
