package router

import (
	"math/rand/v2"
	"time"

	"niwa/router/policy"
	"niwa/router/route"
)

// formation is an app's web dynos, and how one of them is chosen.
type formation struct {
	app      *route.App
	backends []*backend
	choose   policy.Policy
}

// policyNamed is random where an app has chosen nothing, or what only a newer
// router has.
func policyNamed(name string) policy.Policy {
	if choose, err := policy.Named(name, rand.IntN); err == nil {
		return choose
	}
	return policy.Random(rand.IntN)
}

// choose chooses among the dynos that are not quarantined; there may be none.
// f.mu is held.
func (f *fleet) choose(of *formation, badge []byte) *backend {
	f.free, f.seen = f.free[:0], f.seen[:0]
	for _, b := range of.backends {
		if !b.isQuarantined() {
			if string(badge) == b.badge && b.seen.Weight > 0 {
				return b
			}
			f.free = append(f.free, b)
			f.seen = append(f.seen, &b.seen)
		}
	}
	if len(f.free) == 0 {
		return nil
	}
	return f.free[of.choose(f.seen)]
}

func (b *backend) isQuarantined() bool {
	return !b.quarantined.IsZero() && time.Now().Before(b.quarantined)
}

// of is an app's dynos as this router knows them; nil when the table has no such
// app. f.mu is held.
func (f *fleet) of(id string) *formation {
	if of, ok := f.formations[id]; ok {
		return of
	}
	app, ok := f.routes.App(id)
	if !ok {
		return nil
	}
	of, reweighed := &formation{app: app, choose: f.policy(app.Routing.Policy)}, false
	for _, dyno := range app.Dynos {
		weight := weightOf(app, dyno)
		b := f.backend(backendKey{app.ID, dyno}, weight)
		reweighed = reweighed || b.seen.Weight != weight
		b.seen.Weight = weight
		of.backends = append(of.backends, b)
	}
	if reweighed {
		for _, b := range of.backends { // they begin anew, but for what they have
			b.seen = policy.Dyno{InFlight: b.seen.InFlight, Weight: b.seen.Weight}
		}
	}
	f.formations[id] = of
	return of
}

func weightOf(app *route.App, dyno route.Dyno) int {
	weight, ok := app.Routing.Weights[dyno.Name]
	if !ok {
		return 1
	}
	return min(max(0, weight), policy.MaxWeight)
}

// Load is what a router knows of a dyno: what the app's policy sees, and whether
// it is left out for a while.
type Load struct {
	Dyno             string
	InFlight, Weight int
	Quarantined      bool
}

// Loads tells of the dynos of an app, by its id.
func (rt *Router) Loads(appID string) (all []Load) {
	f := rt.fleet
	f.mu.Lock()
	defer f.mu.Unlock()
	f.prune()
	of := f.of(appID)
	if of == nil {
		return nil
	}
	for _, b := range of.backends {
		all = append(all, Load{b.dyno.Name, b.seen.InFlight, b.seen.Weight, b.isQuarantined()})
	}
	return all
}
