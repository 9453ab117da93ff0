package load

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Report is what came of a load.
type Report struct {
	Requests int
	Failures int
	Reasons  map[string]int // of the failures, with their method
	Phases   []Phase        // in the order in which they first began
}

// Phase is the part of a report that concerns the requests which began in one
// phase. Latencies are of the requests that did not fail, from the first byte
// sent to the last received, with a new connection where one was needed.
type Phase struct {
	Name               string
	Requests, Failures int
	P50, P99, Max      time.Duration
}

// String is the report as a table.
func (r Report) String() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "phase\trequests\tfailed\tp50\tp99\tmax")
	for _, p := range r.Phases {
		fmt.Fprintf(w, "%s\t%d\t%d\t%v\t%v\t%v\n", p.Name, p.Requests, p.Failures, p.P50, p.P99, p.Max)
	}
	w.Flush()
	for _, reason := range slices.Sorted(maps.Keys(r.Reasons)) {
		fmt.Fprintf(&b, "%d × %s\n", r.Reasons[reason], reason)
	}
	return b.String()
}

// tally counts while the load is on.
type tally struct {
	mu      sync.Mutex
	phases  []*phase
	now     *phase
	reasons map[string]int
}

type phase struct {
	name     string
	requests int
	failures int
	took     *hdrhistogram.Histogram // microseconds
}

func (t *tally) enter(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := slices.IndexFunc(t.phases, func(p *phase) bool { return p.name == name })
	if i < 0 {
		i = len(t.phases)
		t.phases = append(t.phases, &phase{name: name, took: hdrhistogram.New(1, patience.Microseconds(), 3)})
	}
	t.now = t.phases[i]
}

func (t *tally) current() *phase {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.now
}

func (t *tally) add(p *phase, took time.Duration, method string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p.requests++
	if err == nil {
		err = p.took.RecordValue(min(took, patience).Microseconds())
	}
	if err != nil {
		p.failures++
		if t.reasons == nil {
			t.reasons = make(map[string]int)
		}
		t.reasons[method+": "+err.Error()]++
	}
}

func (t *tally) report() Report {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := Report{Reasons: maps.Clone(t.reasons)}
	for _, p := range t.phases {
		r.Requests += p.requests
		r.Failures += p.failures
		quantile := func(q float64) time.Duration { return time.Duration(p.took.ValueAtQuantile(q)) * time.Microsecond }
		r.Phases = append(r.Phases, Phase{p.name, p.requests, p.failures, quantile(50), quantile(99), quantile(100)})
	}
	return r
}
