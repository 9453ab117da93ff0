package chaos

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"
	_ "modernc.org/sqlite" // the driver that database/sql knows as sqlite
)

// finding is something that is not as it should be.
type finding struct {
	kind string
	op   string // the operation that it goes back to
	what string
}

const (
	lost   = "lost"
	orphan = "orphan"
	late   = "late" // the platform is still at it
)

// settled is a platform that is as it should be.
type settled struct {
	*observation
	dynos map[string]process // the first process of each
	boots map[string]string  // of web processes that were met, by dyno
}

// settle waits until all is as it should be, or tells what is not. A look asks
// the platform for everything, so it takes longer where the machine is busy
// with other things, and so does all else that the platform does: that counts
// as lookTime.
func (h *harness) settle(ctx context.Context, it hit) error {
	begin := time.Now()
	var waited time.Duration
	remark := settleTime / 2
	for {
		at := time.Now()
		now, findings := h.look(ctx, it)
		if len(findings) == 0 {
			h.before = now
			for _, t := range h.tenants {
				t.decide(now.observation)
			}
			h.report.settled(time.Since(begin))
			return nil
		}
		if waited > remark {
			var logs strings.Builder
			h.quoteLogs(&logs, findings)
			h.Log("      after %v still: %v\n%s", time.Since(begin).Round(time.Millisecond), findings, &logs)
			remark += settleTime / 2
		}
		if waited > settleTime || time.Since(begin) > hangTime {
			for _, f := range findings {
				h.report.found(f)
			}
			return h.complaint(it, time.Since(begin), findings)
		}
		time.Sleep(50 * time.Millisecond)
		waited += min(time.Since(at), lookTime)
	}
}

// look compares what is with what should be.
func (h *harness) look(ctx context.Context, it hit) (*settled, []finding) {
	// Asked first: a rotation that ends during the look has not been seen whole.
	rotating, err := h.rotating(ctx)
	if err != nil {
		return nil, []finding{{lost, it.during, err.Error()}}
	}
	o, err := observe(ctx, h.api, h.commits)
	if err != nil {
		return nil, []finding{{lost, it.during, err.Error()}}
	}
	o.busy = append(o.busy, rotating...)
	var findings []finding
	for _, what := range o.busy {
		findings = append(findings, finding{late, it.during, what})
	}
	kind := lost
	if len(o.busy) > 0 {
		kind = late
	}
	for _, t := range h.tenants {
		if diff := t.recognize(o); diff != "" {
			findings = append(findings, finding{kind, t.last, fmt.Sprintf("%s was told (-), and finds (+):\n%s%s", t.name, diff, o.history(t.name+"-"))})
		}
	}
	if len(findings) > 0 {
		return nil, findings
	}
	now := &settled{observation: o, dynos: map[string]process{}, boots: map[string]string{}}
	for _, what := range h.checkDynos(ctx, now, it) {
		findings = append(findings, finding{lost, it.during, what})
	}
	orphans, err := h.machine.orphans(ctx, h.niwa.pid, o.owners())
	if err != nil {
		orphans = append(orphans, err.Error())
	}
	for _, what := range orphans {
		findings = append(findings, finding{orphan, it.during, what})
	}
	return now, findings
}

// rotating tells which add-ons are to get new credentials still. The API has no
// word for it, so it is read where niwa keeps it.
func (h *harness) rotating(ctx context.Context) (busy []string, err error) {
	db, err := sql.Open("sqlite", "file:"+filepath.Join(h.data, "niwa.db")+"?mode=ro&_pragma=busy_timeout(5000)")
	if err != nil {
		return nil, err
	}
	defer db.Close()
	rows, err := db.QueryContext(ctx, "SELECT name FROM addons WHERE coalesce(rotating, '') NOT IN ('', '[]', 'null')")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		busy = append(busy, "the credentials of "+name)
	}
	return busy, rows.Err()
}

// recognize finds the world that is seen among those that may be. When there
// is none it tells how the nearest differs.
func (t *tenant) recognize(o *observation) (nearest string) {
	for _, w := range t.maybe() {
		diff := cmp.Diff(w.view(), o.view(t.name+"-"))
		if diff == "" {
			return ""
		}
		if nearest == "" || len(diff) < len(nearest) {
			nearest = diff
		}
	}
	return nearest
}

// decide takes the world that is seen for what is known.
func (t *tenant) decide(o *observation) {
	for _, w := range t.maybe() {
		if cmp.Diff(w.view(), o.view(t.name+"-")) == "" {
			t.known = w
			break
		}
	}
	for _, a := range t.known.Apps {
		a.Settled = len(a.Releases)
	}
	t.doing, t.trail = nil, nil
}

// quoteLogs adds the ends of the logs of the apps that findings speak of.
func (h *harness) quoteLogs(b *strings.Builder, findings []finding) {
	var apps []ref
	_ = h.api.call(context.Background(), "GET", "/apps", nil, &apps) // it may well not answer
	for _, app := range apps {
		if !slices.ContainsFunc(findings, func(f finding) bool { return strings.Contains(f.what, app.Name) }) {
			continue
		}
		log, err := h.api.log(context.Background(), app.ID, 1500)
		lines := slices.DeleteFunc(strings.Split(log, "\n"), func(line string) bool { return strings.Contains(line, "heroku[router]") }) // h's own visits
		fmt.Fprintf(b, "log of %s (%v):\n%s\n", app.Name, err, strings.Join(lines[max(0, len(lines)-40):], "\n"))
	}
}

// complaint is all that one needs to find out what went wrong.
func (h *harness) complaint(it hit, waited time.Duration, findings []finding) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%v after %s was killed during %s (niwa is process %d, its keeper %d):\n", waited, it.what, it.during, h.niwa.pid, h.keeper.pid())
	for _, f := range findings {
		fmt.Fprintf(&b, "%s: %s\n", f.kind, f.what)
	}
	for _, t := range h.tenants {
		known, _ := json.Marshal(t.known.view()) // of strings and maps
		fmt.Fprintf(&b, "%s:\n    %s\n    knew: %s\n", t.name, strings.Join(t.trail, "\n    "), known)
	}
	h.quoteLogs(&b, findings)
	log, _ := os.ReadFile(h.log())
	lines := slices.DeleteFunc(strings.Split(string(log), "\n"), func(line string) bool { return strings.HasPrefix(line, "ready ") })
	fmt.Fprintf(&b, "niwa said:\n%s", strings.Join(lines[max(0, len(lines)-25):], "\n"))
	return fmt.Errorf("%s", b.String())
}
