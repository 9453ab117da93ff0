//go:build linux

package chaos

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"
)

// Report is what came of a run.
type Report struct {
	Seed    uint64
	Runtime string

	mu     sync.Mutex
	counts map[string]*counts // by operation
	starts []time.Duration
	waits  []time.Duration
	shims  int // see emptyShim
}

type counts struct{ acknowledged, inFlight, lost, orphans, late int }

func newReport(cfg Config) *Report {
	return &Report{Seed: cfg.Seed, Runtime: cfg.Runtime, counts: map[string]*counts{}}
}

func (r *Report) count(op string) *counts {
	if r.counts[op] == nil {
		r.counts[op] = &counts{}
	}
	return r.counts[op]
}

func (r *Report) acknowledged(op string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.count(op).acknowledged++
}

func (r *Report) inFlight(op string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.count(op).inFlight++
}

func (r *Report) found(f finding) {
	switch f.kind {
	case lost:
		r.count(f.op).lost++
	case orphan:
		r.count(f.op).orphans++
	case late:
		r.count(f.op).late++
	}
}

func (r *Report) ready(d time.Duration)   { r.starts = append(r.starts, d) }
func (r *Report) settled(d time.Duration) { r.waits = append(r.waits, d) }

// String is the report as a table.
func (r *Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d kills, seed %d, runtime %s\n", len(r.waits), r.Seed, r.Runtime)
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "operation\tacknowledged\tin flight at the kill\tlost\torphans\tlate\t")
	var sum counts
	for _, op := range slices.Sorted(maps.Keys(r.counts)) {
		c := r.counts[op]
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%d\t%d\t\n", op, c.acknowledged, c.inFlight, c.lost, c.orphans, c.late)
		sum.acknowledged, sum.inFlight = sum.acknowledged+c.acknowledged, sum.inFlight+c.inFlight
		sum.lost, sum.orphans, sum.late = sum.lost+c.lost, sum.orphans+c.orphans, sum.late+c.late
	}
	fmt.Fprintf(table, "all\t%d\t%d\t%d\t%d\t%d\t\n", sum.acknowledged, sum.inFlight, sum.lost, sum.orphans, sum.late)
	table.Flush()
	fmt.Fprintf(&b, "time to ready, %d starts of niwa: %s\n", len(r.starts), percentiles(r.starts))
	fmt.Fprintf(&b, "then until all is as it should be: %s\n", percentiles(r.waits))
	if r.shims > 0 {
		fmt.Fprintf(&b, "the engine itself has left %d empty shims\n", r.shims)
	}
	return b.String()
}

func percentiles(all []time.Duration) string {
	if len(all) == 0 {
		return "none"
	}
	sorted := slices.SortedFunc(slices.Values(all), cmp.Compare)
	at := func(p float64) time.Duration {
		return sorted[int(p*float64(len(sorted)-1))].Round(time.Millisecond)
	}
	return fmt.Sprintf("p50 %v, p95 %v, max %v", at(0.5), at(0.95), at(1))
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
