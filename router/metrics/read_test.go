package metrics

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// reads compares what a series is, as JSON without its head.
func reads(t *testing.T, what string, got Series, want string) {
	t.Helper()
	data, err := json.Marshal(got.Data)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(data)); diff != "" {
		t.Errorf("%s: %s", what, diff)
	}
}

func TestAnAppsHistoryHasTheShapeOfHerokus(t *testing.T) {
	now := noon()
	table := tableOf(blog("web.1"))
	m := New(now)
	a := m.App("1", "blog")
	served(a, ok(10*time.Millisecond))
	served(a, Request{Code: "H12", Dyno: "web.1", Status: 503, Service: 30 * time.Second, In: 10})
	now = now.Add(Step)
	m.Record(now, table)
	a.Begin()
	served(a, ok(10*time.Millisecond))
	served(a, ok(10*time.Millisecond))
	a.End(Request{Status: switching, Service: time.Hour, In: 1, Out: 1}) // a WebSocket
	now = now.Add(Step)
	m.Record(now, table)
	served(a, ok(10*time.Millisecond)) // has not been recorded when it is read
	now = now.Add(Step / 2)

	w := Window{noon().Add(-2 * Step), noon().Add(5 * Step), Step}
	reads(t, "status", Read(Status, w, "1", now, m), `{"101":[null,null,0,1,0,null,null,null],"200":[null,null,1,2,1,null,null,null],"503":[null,null,1,0,0,null,null,null]}`)
	reads(t, "errors", Read(Errors, w, "1", now, m), `{"H12":[null,null,1,0,0,null,null,null]}`)
	reads(t, "throughput", Read(Throughput, w, "1", now, m),
		`{"bytes.in":[null,null,110,201,100,null,null,null],"bytes.out":[null,null,1000,2001,1000,null,null,null],"requests.in-flight.max":[null,null,1,2,1,null,null,null]}`)
	latency := Read(Latency, w, "1", now, m)
	if p50 := latency.Data["latency.ms.p50"]; p50[1] != nil || *p50[2] < 9.4 || *p50[2] > 10 || p50[5] != nil {
		t.Errorf("p50 %v", p50)
	}
	if p99, most := latency.Data["latency.ms.p99"], latency.Data["latency.ms.max"]; *p99[2] < 28_000 || *p99[2] > 30_000 || *most[2] != 30_000 || *most[3] != 10 {
		t.Errorf("p99 %v, max %v", p99, most)
	}

	w.Step = minute
	got := Read(Status, w, "1", now, m)
	reads(t, "by the minute", got, `{"101":[null,1],"200":[null,4],"503":[null,1]}`)
	if !got.StartTime.Equal(noon().Add(-minute)) || !got.EndTime.Equal(noon()) || got.Step != 1 {
		t.Errorf("it is from %s to %s, by %g", got.StartTime, got.EndTime, got.Step)
	}
	reads(t, "of an app without traffic", Read(Status, w, "2", now, m), `{}`)
	reads(t, "with another router", Read(Status, w, "1", now, m, New(noon())), `{"101":[null,1],"200":[null,4],"503":[null,1]}`)
}

func TestTwoHoursAreKeptInStepsAndADayInMinutes(t *testing.T) {
	now := noon()
	table := tableOf(blog("web.1"))
	m := New(now)
	a := m.App("1", "blog")
	for ; now.Before(noon().Add(30 * time.Hour)); now = now.Add(Step) {
		served(a, ok(time.Millisecond))
		m.Record(now.Add(Step), table)
	}
	total := func(w Window) (total float64, steps int) {
		for _, n := range Read(Status, w, "1", now, m).Data["200"] {
			if n != nil {
				total += *n
				steps++
			}
		}
		return total, steps
	}
	if n, steps := total(Window{now.Add(-2 * time.Hour), now.Add(-Step), Step}); n != 720 || steps != 720 {
		t.Errorf("%g requests in %d steps of two hours", n, steps)
	}
	if n, steps := total(Window{now.Add(-24 * time.Hour), now.Add(-minute), minute}); n != 24*360 || steps != 24*60 {
		t.Errorf("%g requests in %d minutes of a day", n, steps)
	}
	if n, _ := total(Window{now.Add(-24 * time.Hour), now.Add(-minute), time.Hour}); n != 24*360 {
		t.Errorf("%g requests in the hours of a day", n)
	}
	if n, _ := total(Window{noon(), noon().Add(5 * time.Hour), minute}); n != 0 {
		t.Errorf("%g requests are still there of more than a day ago", n)
	}
	if n := a.history.fine.size + a.history.coarse.size; n > 200<<10 {
		t.Errorf("the history of a steady app takes %d bytes", n)
	}
	for range 25 * 360 { // and then it is quiet
		now = now.Add(Step)
		m.Record(now, table)
	}
	if n := len(a.history.fine.slots) + len(a.history.coarse.slots); n != 0 {
		t.Errorf("%d samples are kept of a day without a request", n)
	}
	if a.Counts("1") {
		m.Record(now.Add(Keep), table)
	}
	if a.Counts("1") {
		t.Error("an app that had no request for a day still has a place")
	}
}

func TestAHistoryTakesNoMoreThanItMay(t *testing.T) {
	now := noon()
	table := tableOf(blog("web.1"))
	m := New(now)
	a := m.App("1", "blog")
	for ; now.Before(noon().Add(24 * time.Hour)); now = now.Add(minute) {
		for i := range buckets { // an app that is as bad as can be
			served(a, Request{Status: 200 + i, Service: middle(i), In: 1 << 30, Out: 1 << 30, Dyno: "web.1"})
		}
		m.Record(now.Add(minute), table)
	}
	if fine, coarse := a.history.fine.size, a.history.coarse.size; fine > fineSize || coarse > coarseSize || coarse < coarseSize*9/10 {
		t.Errorf("it takes %d and %d bytes", fine, coarse)
	}
	day := Read(Throughput, Window{noon(), now.Add(-minute), minute}, "1", now, m).Data["bytes.in"]
	if day[0] != nil || day[len(day)-1] == nil {
		t.Errorf("what was dropped is said to be %v, and the last minute %v", day[0], day[len(day)-1])
	}
}

func TestAWindowIsChecked(t *testing.T) {
	at := noon()
	for _, c := range []struct {
		name string
		w    Window
		want string // part of the error, or nothing
	}{
		{"a day in minutes", Window{at, at.Add(24 * time.Hour), minute}, ""},
		{"two hours in steps", Window{at, at.Add(2 * time.Hour), Step}, ""},
		{"a week in hours", Window{at, at.Add(7 * 24 * time.Hour), 2 * time.Hour}, ""},
		{"no time", Window{at, at, minute}, ""},
		{"a step that is no multiple", Window{at, at, 15 * time.Second}, "10s"},
		{"a minute and a half", Window{at, at, 90 * time.Second}, "10s"},
		{"no step", Window{at, at, 0}, "10s"},
		{"time that runs back", Window{at, at.Add(-1), minute}, "after"},
		{"a day in steps", Window{at, at.Add(24 * time.Hour), Step}, "more than"},
		{"all time there is", Window{time.Time{}, at.AddDate(7000, 0, 0), minute}, "more than"},
	} {
		err := c.w.Check()
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestWhatAnotherRouterHasLoggedIsInTheHistory(t *testing.T) {
	now := noon()
	app := blog("web.1")
	here, elsewhere := New(now), New(now)
	served(here.App("1", "blog"), ok(10*time.Millisecond))
	for _, line := range []string{
		`at=info method=GET path="/?a=\" status=500 code=H99" host=blog.test request_id=x fwd="1.2.3.4 code=H98" dyno=web.1 connect=1ms service=20ms status=201 bytes=5 protocol=http1.1 tls=false`,
		`sock=backend at=error code=H18 desc="Server Request Interrupted" method=GET path="/" host=blog.test request_id=x fwd=::1 dyno=web.1 connect=0ms service=31ms status=503 bytes=9 protocol=http1.1 tls=false`,
		`at=error code=H10 desc="App crashed" method=GET path="/" host=blog.test request_id=x fwd=::1 dyno= connect= service= status=503 bytes= protocol=http1.1 tls=false`,
		`at=error code=H24 desc="Forced close" method=GET path="/" status= bytes=`,
		`this is no line`, `="`,
	} {
		elsewhere.Logged(&app, line)
	}
	w := Window{now, now, minute}
	reads(t, "status", Read(Status, w, "1", now, here, elsewhere), `{"200":[1],"201":[1],"503":[2]}`)
	reads(t, "errors", Read(Errors, w, "1", now, here, elsewhere), `{"H10":[1],"H18":[1],"H24":[1]}`)
	reads(t, "throughput", Read(Throughput, w, "1", now, here, elsewhere), `{"bytes.in":[100],"bytes.out":[1014],"requests.in-flight.max":[1]}`)
	if most := Read(Latency, w, "1", now, here, elsewhere).Data["latency.ms.max"]; *most[0] != 31 {
		t.Errorf("the slowest took %g ms", *most[0])
	}
}
