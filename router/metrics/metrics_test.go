package metrics

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"niwa/router/route"
)

// noon is where the clock of a test begins.
func noon() time.Time { return time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC) }

func tableOf(apps ...route.App) *route.Table {
	var entries []route.Entry
	for _, app := range apps {
		entries = append(entries, route.Entry{App: app})
	}
	table := route.New()
	if err := table.Set(entries...); err != nil {
		panic(err)
	}
	return table
}

func blog(dynos ...string) route.App {
	app := route.App{ID: "1", Name: "blog", State: route.Serving}
	for _, name := range dynos {
		app.Dynos = append(app.Dynos, route.Dyno{Name: name, Addr: "127.0.0.1:1"})
	}
	return app
}

func served(a *App, r Request) {
	a.Begin()
	a.End(r)
}

func ok(service time.Duration) Request {
	return Request{Dyno: "web.1", Status: 200, Service: service, In: 100, Out: 1000}
}

// has fails unless so many series of a metric are to be read.
func has(t *testing.T, m *Metrics, metric string, want int) {
	t.Helper()
	if got := gathered(t, m, metric); got != want {
		t.Errorf("%d series of %s, want %d", got, metric, want)
	}
}

// gathered is how many series of a metric are to be read.
func gathered(t *testing.T, m *Metrics, metric string) int {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(m.Collector(func() []Dyno { return nil }))
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == metric {
			return len(family.GetMetric())
		}
	}
	return 0
}

func TestWhatHasLeftTheRoutesIsForgottenAfterAWhile(t *testing.T) {
	const requests = "niwa_router_requests_total"
	now := noon()
	m := New(now)
	a := m.App("1", "blog")
	served(a, ok(0))
	served(a, Request{Dyno: "web.2", Status: 200, In: 1, Out: 1})
	has(t, m, requests, 3) // and those for no app

	m.Record(now, tableOf(blog("web.1")))
	m.Record(now.Add(Keep-1), tableOf(blog("web.1")))
	has(t, m, requests, 3)
	m.Record(now.Add(Keep), tableOf(blog("web.1")))
	has(t, m, requests, 2)

	now = now.Add(Keep)
	m.Record(now, tableOf())
	m.Record(now.Add(Keep/2), tableOf(blog("web.1"))) // it was back in between
	m.Record(now.Add(Keep), tableOf())
	m.Record(now.Add(2*Keep-1), tableOf())
	if !a.Counts("1") {
		t.Error("the app is forgotten before its time")
	}
	a.Begin()
	m.Record(now.Add(2*Keep), tableOf())
	if !a.Counts("1") {
		t.Error("an app with a request is forgotten")
	}
	a.End(ok(0))
	m.Record(now.Add(2*Keep), tableOf())
	m.Record(now.Add(3*Keep), tableOf())
	has(t, m, requests, 1)
	if a.Counts("1") || m.App("1", "blog") == a {
		t.Error("the app is not forgotten")
	}
}

func TestADynoIsCountedByPolicy(t *testing.T) {
	m := New(noon())
	a := m.App("1", "blog")
	served(a, ok(0))
	served(a, Request{Policy: "round-robin", Dyno: "web.1", Status: 200})
	has(t, m, "niwa_router_requests_total", 3)
	app := blog("web.1")
	app.Routing.Policy = "round-robin"
	m.Record(noon(), tableOf(app))
	m.Record(noon().Add(Keep), tableOf(app))
	has(t, m, "niwa_router_requests_total", 2)
}

func TestTwoAppsThatHadTheSameNameAreNotReadAsOne(t *testing.T) {
	m := New(noon())
	served(m.App("old", "blog"), ok(0))
	served(m.App("new", "other"), Request{Code: "H10", Status: 503, Service: -1})
	m.Record(noon(), tableOf(route.App{ID: "new", Name: "blog", State: route.Serving})) // was given the name that the old one had
	has(t, m, "niwa_router_requests_in_flight", 1)
	if a := m.named()["blog"]; a.id != "new" {
		t.Errorf("blog is %s", a.id)
	}
}

func TestAppsBeyondTheBoundAreCountedAsOne(t *testing.T) {
	now := noon()
	m := New(now)
	for i := range maxApps {
		m.App(fmt.Sprint(i), fmt.Sprint("app-", i))
	}
	served(m.App("more", "more"), ok(0))
	served(m.App("yet more", "yet-more"), ok(0))
	if n := len(m.named()); n != maxApps+1 {
		t.Errorf("%d apps are counted", n)
	}
	if n := m.others.in.n.Load(); n != 200 {
		t.Errorf("the others sent %d bytes", n)
	}
	w := Window{now, now.Add(minute), minute}
	if got := Read(Throughput, w, "more", now, m); len(got.Data) != 0 {
		t.Errorf("the history of one of many is %v", got.Data)
	}
	m.Record(now, tableOf())
	m.Record(now.Add(Keep), tableOf())
	if n := len(m.named()); n != 1 {
		t.Errorf("%d apps are counted when there are none", n)
	}
}

func TestACountAllocatesNothing(t *testing.T) {
	m := New(noon())
	a := m.App("1", "blog")
	r := Request{Dyno: "web.1", Status: 200, Service: 3 * time.Millisecond, Connect: time.Millisecond, In: 10, Out: 10}
	served(a, r)
	if n := testing.AllocsPerRun(1000, func() { served(a, r) }); n > 0 {
		t.Errorf("%g allocations", n)
	}
	r.Code, r.Status = "H12", 503
	if n := testing.AllocsPerRun(1000, func() { served(a, r) }); n > 0 {
		t.Errorf("%g allocations for an error", n)
	}
}

func BenchmarkRequest(b *testing.B) {
	a := New(noon()).App("1", "blog")
	r := ok(3 * time.Millisecond)
	for b.Loop() {
		served(a, r)
	}
}

func BenchmarkRequestInParallel(b *testing.B) {
	a := New(noon()).App("1", "blog")
	r := ok(3 * time.Millisecond)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			served(a, r)
		}
	})
}

func TestASampleIsReadAsItWasPacked(t *testing.T) {
	for _, s := range []sample{
		{statuses: []count{}, codes: []count{}, service: []count{}},
		{inFlight: 3, slowest: time.Hour, in: 1 << 40, out: 7, statuses: []count{{200, 1 << 33}, {503, 1}}, codes: []count{{12, 1}}, service: []count{{0, 5}, {beyond, 1}}},
	} {
		if diff := cmp.Diff(s, unpack(s.pack()), cmp.AllowUnexported(sample{}, count{})); diff != "" {
			t.Error(diff)
		}
	}
}

func TestNothingIsLostOrCountedTwiceWhileItIsRead(t *testing.T) {
	const clients, each = 4, 5000
	now := noon()
	table := tableOf(blog("web.1"))
	m := New(now)
	var counting sync.WaitGroup
	for i := range clients {
		counting.Go(func() {
			a := m.App("1", "blog")
			for range each {
				served(a, Request{Dyno: fmt.Sprint("web.", i), Code: "H12", Status: 503, Service: time.Second, In: 1, Out: 1})
			}
		})
	}
	done := make(chan struct{})
	go func() { counting.Wait(); close(done) }()
	w := Window{now, now.Add(12 * time.Hour), time.Hour}
	for read := false; !read; {
		select {
		case <-done:
			read = true
		default:
		}
		if next := now.Add(Step); next.Before(w.End) {
			now = next
		}
		m.Record(now, table)
		Read(Errors, w, "1", now, m)
		gathered(t, m, "niwa_router_requests_total")
	}
	var seen float64
	for _, n := range Read(Errors, w, "1", now, m).Data["H12"] {
		if n != nil {
			seen += *n
		}
	}
	a := m.App("1", "blog")
	if total := a.in.n.Load(); seen != clients*each || total != clients*each || a.inFlight.Load() != 0 {
		t.Errorf("of %d requests %g are in the history, %d in the counts, and %d go on", clients*each, seen, total, a.inFlight.Load())
	}
}
