package controller

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"niwa/platform"
	"niwa/platform/store"
	"niwa/router/policy"
)

// RoutingUpdate says what to change of how an app's requests are routed; nil
// leaves it, and so do weights of dynos that it does not name.
type RoutingUpdate struct {
	Policy  *string
	Weights map[string]int
}

// webDyno is the name of one of the maxQuantity web dynos that an app can have.
var webDyno = regexp.MustCompile(`^web\.([1-9][0-9]?|100)$`)

// Routing tells how an app's requests are routed, and of the dynos that get them.
func (c *Controller) Routing(ctx context.Context, nameOrID string) (platform.App, []platform.RoutedDyno, error) {
	app, err := c.app(ctx, nameOrID)
	if err != nil {
		return app, nil, err
	}
	app.Routing.Policy = cmp.Or(app.Routing.Policy, policy.Heroku)
	dynos := c.routed(app)
	slices.SortFunc(dynos, func(a, b platform.RoutedDyno) int { // web.2 before web.10
		return cmp.Or(cmp.Compare(len(a.Name), len(b.Name)), cmp.Compare(a.Name, b.Name))
	})
	return app, dynos, nil
}

// routed are the dynos that get an app's requests: as the platform's own router
// knows them or, where it has none, as the table does.
func (c *Controller) routed(app platform.App) (dynos []platform.RoutedDyno) {
	if c.Loads != nil {
		return c.Loads(app.ID)
	}
	routed, ok := c.Routes.App(app.ID)
	if !ok {
		return nil
	}
	for _, d := range routed.Dynos {
		weight, ok := app.Routing.Weights[d.Name]
		if !ok {
			weight = 1
		}
		dynos = append(dynos, platform.RoutedDyno{Name: d.Name, Weight: weight})
	}
	return dynos
}

// UpdateRouting changes how an app's requests are routed. When it returns, the
// platform's own router does so.
func (c *Controller) UpdateRouting(ctx context.Context, nameOrID string, u RoutingUpdate) error {
	if u.Policy != nil && !slices.Contains(policy.Names(), *u.Policy) {
		return platform.Invalid("There is no routing policy %q; choose one of %s.", *u.Policy, strings.Join(policy.Names(), ", "))
	}
	for _, name := range slices.Sorted(maps.Keys(u.Weights)) {
		if !webDyno.MatchString(name) {
			return platform.Invalid("%q is no web dyno; weights are for web.1 to web.%d.", name, maxQuantity)
		}
		if w := u.Weights[name]; w < 0 || w > policy.MaxWeight {
			return platform.Invalid("The weight of %s can be 0 to %d, not %d.", name, policy.MaxWeight, w)
		}
	}
	var app platform.App
	err := c.Store.Update(ctx, func(tx *store.Tx) (err error) {
		if app, err = tx.App(nameOrID); err != nil {
			return err
		}
		u.apply(&app.Routing)
		app.UpdatedAt = now()
		return tx.SaveApp(app)
	})
	if err != nil {
		return err
	}
	c.apiLog(app.ID, fmt.Sprintf("Update routing to %s by user %s", told(app.Routing), c.email(ctx)))
	return c.publish(ctx, app.ID)
}

func (u RoutingUpdate) apply(r *platform.Routing) {
	if u.Policy != nil {
		r.Policy = *u.Policy
	}
	weights := maps.Clone(r.Weights)
	if weights == nil {
		weights = map[string]int{}
	}
	maps.Copy(weights, u.Weights)
	maps.DeleteFunc(weights, func(_ string, weight int) bool { return weight == 1 })
	r.Weights = weights
}

// told is a policy and the weights that are not 1: round-robin, web.1=9.
func told(r platform.Routing) string {
	words := []string{cmp.Or(r.Policy, policy.Heroku)}
	for _, name := range slices.Sorted(maps.Keys(r.Weights)) {
		words = append(words, fmt.Sprintf("%s=%d", name, r.Weights[name]))
	}
	return strings.Join(words, ", ")
}
