package router

import (
	"crypto/tls"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"niwa/router/metrics"
	"niwa/router/route"
)

// scraper returns what reads a router's metrics as Prometheus does.
func scraper(t *testing.T, rt *Router) (scrape func() string) {
	t.Helper()
	ln := listen(t)
	server := metrics.Server("test", rt.Collector())
	go server.Serve(ln)
	t.Cleanup(func() { server.Close() })
	return func() string {
		t.Helper()
		resp, err := http.Get("http://" + ln.Addr().String() + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%s, %v: %s", resp.Status, err, body)
		}
		return string(body)
	}
}

// read is a scrape as name{labels} and value, of what is the router's.
func read(t *testing.T, scraped string) map[string]float64 {
	t.Helper()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(scraped))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]float64{}
	for name, family := range families {
		name, ours := strings.CutPrefix(name, "niwa_router_")
		if !ours {
			continue
		}
		for _, m := range family.GetMetric() {
			labels := make([]string, len(m.GetLabel()))
			for i, l := range m.GetLabel() {
				labels[i] = l.GetName() + "=" + l.GetValue()
			}
			at := "{" + strings.Join(labels, ",") + "}"
			switch family.GetType() {
			case dto.MetricType_COUNTER:
				all[name+at] = m.GetCounter().GetValue()
			case dto.MetricType_GAUGE:
				all[name+at] = m.GetGauge().GetValue()
			case dto.MetricType_HISTOGRAM:
				all[name+"_count"+at] = float64(m.GetHistogram().GetSampleCount())
				all[name+"_buckets"+at] = float64(len(m.GetHistogram().GetBucket()))
			default:
				t.Errorf("%s is a %s", name, family.GetType())
			}
		}
	}
	return all
}

// settles waits until the metrics are as they should be, which they are a moment
// after the client has its answer. Those of which nothing is wanted are 0.
func settles(t *testing.T, scrape func() string, want map[string]float64) {
	t.Helper()
	var got map[string]float64
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		got = read(t, scrape())
		maps.DeleteFunc(got, func(name string, n float64) bool {
			_, wanted := want[name]
			return n == 0 && !wanted
		})
		if maps.Equal(got, want) {
			return
		}
	}
	t.Error(cmp.Diff(want, got))
}

func TestEveryRequestIsCountedAsItEnded(t *testing.T) {
	web := httpDyno(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/missing":
			http.NotFound(w, r)
		case "/slow":
			<-r.Context().Done()
		case "/dead":
			panic(http.ErrAbortHandler)
		default:
			io.Copy(io.Discard, r.Body)
		}
	})
	h := start(t, serving(web), Timeouts{FirstByte: 100 * time.Millisecond, Quarantine: time.Hour})
	scrape := scraper(t, h.Router)
	received, sent := 0, 0
	ask := func(request string) {
		t.Helper()
		if _, _, err := h.ask(t, request); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(request, "Host: app.test") {
			return
		}
		received += len(request)
		line := h.line(t) // by then its connection is there for the next
		var n int
		if _, after, ok := strings.Cut(line, " bytes="); ok {
			fmt.Sscan(after, &n)
		}
		sent += n
	}
	for range 3 {
		ask(get("/"))
	}
	ask(get("/missing"))
	ask("POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 5\r\n\r\nhello")
	ask("POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
	ask(get("/slow"))
	ask(get("/dead"))
	ask("GET / HTTP/1.1\r\nHost: nobody.test\r\n\r\n")
	ask("GET / HTTP/1.1\r\nHost: app%22.test\r\n\r\n")
	ask("GET  / HTTP/1.1\r\n\r\n")
	h.swap(t, state(route.Crashed)(t))
	ask(get("/"))
	app := serving(refusing(t))
	app.Routing.Policy = "round-robin"
	h.swap(t, app)
	ask(get("/"))

	const app1 = "{app=app}"
	settles(t, scrape, map[string]float64{
		"requests_total{app=app,code=,dyno=web.1,policy=random,status=2xx}":         5,
		"requests_total{app=app,code=,dyno=web.1,policy=random,status=4xx}":         1,
		"requests_total{app=app,code=H12,dyno=web.1,policy=random,status=5xx}":      1,
		"requests_total{app=app,code=H13,dyno=web.1,policy=random,status=5xx}":      1,
		"requests_total{app=app,code=H10,dyno=,policy=random,status=5xx}":           1,
		"requests_total{app=app,code=H21,dyno=web.1,policy=round-robin,status=5xx}": 1,
		"requests_total{app=,code=,dyno=,policy=,status=4xx}":                       1,
		"refused_requests_total{status=400}":                                        2,
		"service_duration_seconds_count" + app1:                                     8,
		"service_duration_seconds_buckets" + app1:                                   17, // with +Inf
		"connect_duration_seconds_count" + app1:                                     5,
		"connect_duration_seconds_buckets" + app1:                                   17,
		"received_bytes_total" + app1:                                               float64(received),
		"sent_bytes_total" + app1:                                                   float64(sent),
		"requests_in_flight" + app1:                                                 0,
		"requests_queued" + app1:                                                    0,
		"dyno_quarantined{app=app,dyno=web.1}":                                      1,
		"client_connections{protocol=http1}":                                        11, // those that were refused are closed
	})
	text := scrape()
	for _, secret := range []string{"nobody", "missing", "22.test"} {
		if strings.Contains(text, secret) {
			t.Errorf("what a client sent is there to read: %q", secret)
		}
	}
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
}

func TestRequestsThatGoOnAreSeenWhereTheyAre(t *testing.T) {
	came, stay := make(chan struct{}, 2), make(chan struct{})
	web := httpDyno(t, func(_ http.ResponseWriter, r *http.Request) {
		came <- struct{}{}
		select {
		case <-stay:
		case <-r.Context().Done():
		}
	})
	s := certified(t)
	h := startTLS(t, serving(web), Timeouts{}, s.TLS)
	scrape := scraper(t, h.Router)
	client := s.Client()
	transport := client.Transport.(*http.Transport)
	transport.TLSClientConfig.ServerName = "example.com"
	transport.TLSClientConfig.MaxVersion = tls.VersionTLS13
	transport.ForceAttemptHTTP2 = true
	ended := make(chan error, 2)
	ask := func() {
		r, _ := http.NewRequest("GET", "https://"+h.addr, nil)
		r.Host = "app.test"
		resp, err := client.Do(r)
		if err == nil {
			resp.Body.Close()
		}
		ended <- err
	}
	go ask()
	<-came
	h.swap(t, state(route.Starting)(t))
	go ask()
	const app = "{app=app}"
	want := map[string]float64{
		"client_connections{protocol=http2}": 1, "http2_streams{}": 2, "http2_streams_total{}": 2, "tls_handshakes_total{version=1.3}": 1,
		"requests_in_flight" + app: 2, "requests_queued" + app: 1,
		"service_duration_seconds_buckets" + app: 17, "connect_duration_seconds_buckets" + app: 17,
	}
	settles(t, scrape, want)
	h.swap(t, serving(web))
	<-came
	want["requests_queued"+app] = 0
	want["dyno_requests_in_flight{app=app,dyno=web.1}"] = 1 // the first one's dyno was gone meanwhile
	settles(t, scrape, want)
	close(stay)
	for range 2 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	c := h.dial(t)
	io.WriteString(c, "this is not TLS\r\n\r\n")
	delete(want, "requests_in_flight"+app)
	want["http2_streams{}"], want["requests_in_flight"+app], want["dyno_requests_in_flight{app=app,dyno=web.1}"] = 0, 0, 0
	want["requests_total{app=app,code=,dyno=web.1,policy=random,status=2xx}"] = 2
	want["dyno_idle_connections{app=app,dyno=web.1}"] = 1
	want["tls_handshake_failures_total{}"] = 1
	want["service_duration_seconds_count"+app], want["connect_duration_seconds_count"+app] = 2, 2
	got := read(t, scrape())
	want["received_bytes_total"+app], want["sent_bytes_total"+app] = got["received_bytes_total"+app], got["sent_bytes_total"+app]
	settles(t, scrape, want)
}
