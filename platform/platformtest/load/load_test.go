package load_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"niwa/platform/platformtest/load"
)

func TestEveryRequestIsCountedWithItsReasonAndPhase(t *testing.T) {
	var n atomic.Int64
	var l *load.Load
	started := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		<-started
		switch n.Add(1) {
		case 100:
			http.Error(w, "at=error code=H13", http.StatusServiceUnavailable)
		case 200:
			w.Write([]byte("of another"))
		case 300:
			panic(http.ErrAbortHandler)
		case 400:
			w.Header().Set("Content-Length", "5")
			w.Write([]byte("4"))
		case 500:
			w.Header().Set("Connection", "close")
			load.Echo(w, r)
		case 600:
			l.Phase("later")
			load.Echo(w, r)
		default:
			load.Echo(w, r)
		}
	}))
	defer s.Close()
	l = load.Start(load.Config{Addr: s.Listener.Addr().String(), Host: "app.test", Clients: 8, Requests: 1000}, "first")
	close(started)
	r := l.Wait()
	if r.Requests != 1000 || r.Failures != 4 || n.Load() != 1000 || l.Ended() != 1000 {
		t.Errorf("the server got %d requests; the report is\n%v", n.Load(), r)
	}
	reasons := map[string]int{}
	for reason, times := range r.Reasons {
		_, what, _ := strings.Cut(reason, ": ")
		reasons[what] += times
	}
	want := map[string]int{
		"status 503 code=H13":             1,
		"the answer is not what was sent": 1,
		"no answer: unexpected EOF":       1,
		"half an answer: unexpected EOF":  1,
	}
	if diff := cmp.Diff(want, reasons); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if len(r.Phases) != 2 || r.Phases[0].Name != "first" || r.Phases[1].Requests < 390 || r.Phases[1].Requests > 400 {
		t.Errorf("the phases are\n%v", r)
	}
	if p := r.Phases[0]; p.P50 <= 0 || p.P99 < p.P50 || p.Max < p.P99 {
		t.Errorf("the latencies are\n%v", r)
	}
}

func TestARouterThatIsDownIsCountedNotWaitedFor(t *testing.T) {
	s := httptest.NewServer(nil)
	addr := s.Listener.Addr().String()
	s.Close()
	r := load.Start(load.Config{Addr: addr, Host: "app.test", Clients: 2, Requests: 10}, "down").Wait()
	if r.Requests != 10 || r.Failures != 10 {
		t.Errorf("the report is\n%v", r)
	}
}
