//go:build linux

package chaos

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"
)

// tenant is a user of the platform who does one thing at a time, and keeps
// account of what is so because of that.
type tenant struct {
	name     string
	clones   *clones
	api      *api
	count    int // of names given
	known    *world
	trail    []string          // what was done since the last kill, for a report
	last     string            // the operation that was begun last
	contents map[string]string // by commit

	rand *rand.Rand // of the round
	// doing is what was not acknowledged in the round, at most one step: it
	// may be done or not.
	doing   *step
	touched map[string]bool // apps that something was asked of in the round
}

// step is one thing that is asked of the platform.
type step struct {
	op     string
	what   string
	apps   []string // that it may change
	do     func(context.Context) error
	effect func(*world)
}

// failure is an operation that failed though nothing was in its way.
type failure struct {
	tenant string
	step   step
	err    error
}

func (f *failure) Error() string {
	return fmt.Sprintf("%s: %s failed, though nothing had been killed: %v", f.tenant, f.step.what, f.err)
}

// event is that an operation begins, or that it has been acknowledged.
type event struct {
	op       operation
	answered bool
}

// work does one thing after the other until ctx ends, or one was not
// acknowledged. It tells how it goes, which must not block.
func (t *tenant) work(ctx context.Context, killed *atomic.Bool, tell func(event)) error {
	for ctx.Err() == nil {
		op, s := t.next()
		t.doing, t.last = &s, s.op
		for _, app := range s.apps {
			t.touched[app] = true
		}
		tell(event{op: op})
		err := s.do(context.WithoutCancel(ctx)) // it is not for the tenant to give up
		if err != nil {
			if !killed.Load() {
				return &failure{t.name, s, err}
			}
			t.say("not acknowledged: %s: %v", s.what, err)
			return nil
		}
		tell(event{op, true})
		t.say("acknowledged: %s", s.what)
		s.effect(t.known)
		t.doing = nil
		t.await(ctx, s)
	}
	return nil
}

// await waits for what a step has set going and that answers did not wait for:
// release phases, and add-ons that are provisioned.
func (t *tenant) await(ctx context.Context, s step) {
	for busy := true; busy && ctx.Err() == nil; time.Sleep(30 * time.Millisecond) {
		busy = false
		for _, app := range s.apps {
			var releases, addons []struct{ Status, State string }
			if t.known.Apps[app] == nil || t.api.call(ctx, "GET", "/apps/"+app+"/releases", nil, &releases) != nil ||
				t.api.call(ctx, "GET", "/apps/"+app+"/addons", nil, &addons) != nil {
				continue
			}
			for _, x := range append(releases, addons...) {
				busy = busy || x.Status == "pending" || x.State == "provisioning"
			}
		}
	}
}

func (t *tenant) say(format string, args ...any) {
	t.trail = append(t.trail, time.Now().Format("05.000 ")+fmt.Sprintf(format, args...))
}

// next picks an operation that is possible, each as often as its weight says.
func (t *tenant) next() (operation, step) {
	all := operations()
	total := 0
	for _, op := range all {
		total += op.weight
	}
	for {
		n := t.rand.IntN(total)
		for _, op := range all {
			if n -= op.weight; n < 0 {
				if s, ok := op.plan(t); ok {
					s.op = op.name
					return op, s
				}
				break
			}
		}
	}
}

// maybe lists the worlds that may be: what is known, and what would be if the
// step under way had been done.
func (t *tenant) maybe() []*world {
	if t.doing == nil {
		return []*world{t.known}
	}
	done := t.known.clone()
	t.doing.effect(done)
	return []*world{t.known, done}
}

// fresh makes a name that nothing had before.
func (t *tenant) fresh(kind string) string {
	t.count++
	return fmt.Sprintf("%s-%s-%d", t.name, kind, t.count)
}

// pick picks one of a map's keys that will do; false when none will.
func pick[V any](t *tenant, from map[string]V, will func(string, V) bool) (string, bool) {
	var good []string
	for _, key := range slices.Sorted(maps.Keys(from)) {
		if will(key, from[key]) {
			good = append(good, key)
		}
	}
	if len(good) == 0 {
		return "", false
	}
	return good[t.rand.IntN(len(good))], true
}

func (t *tenant) anyApp() (string, bool) {
	return pick(t, t.known.Apps, func(string, *app) bool { return true })
}

// deployed picks an app that has something to run.
func (t *tenant) deployed() (string, bool) {
	return pick(t, t.known.Apps, func(_ string, a *app) bool { return a.commit() != "" })
}

func (t *tenant) anyAddon() (string, bool) {
	return pick(t, t.known.Addons, func(string, *addon) bool { return true })
}
