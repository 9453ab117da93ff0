package controller

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"niwa/platform"
	"niwa/platform/store"
)

// trait is a feature, and what of an app it stands for.
type trait struct {
	name, display, about string
	doc                  string // article of devcenter.heroku.com
	labs                 bool
	on                   func(app *platform.App) bool
	set                  func(app *platform.App, on bool)
}

// traits are all features, under Heroku's names where Heroku has them. of is the
// formation of the app that is asked about.
func traits(of []platform.Formation) []trait {
	field := func(of func(*platform.App) *bool, t trait) trait {
		t.on = func(app *platform.App) bool { return *of(app) }
		t.set = func(app *platform.App, on bool) { *of(app) = on }
		return t
	}
	return []trait{
		field(func(a *platform.App) *bool { return &a.RuntimeMetrics }, trait{
			name: "log-runtime-metrics", display: "Runtime metrics", labs: true, doc: "log-runtime-metrics",
			about: "The log tells every 20 seconds how much memory each dyno uses.",
		}),
		preboot(of),
		field(func(a *platform.App) *bool { return &a.Routing.Affinity }, trait{
			name: "http-session-affinity", display: "Session affinity", doc: "session-affinity",
			about: "A cookie keeps each client with one web dyno.",
		}),
		field(func(a *platform.App) *bool { return &a.Routing.NoKeepAlive }, trait{
			name: "http-disable-keepalive-to-dyno", display: "No keep-alive to dynos", labs: true, doc: "http-routing#keepalives",
			about: "Each request goes to the dyno over a connection of its own.",
		}),
		field(func(a *platform.App) *bool { return &a.Routing.EndToEndContinue }, trait{
			name: "http-end-to-end-continue", display: "End-to-end continue", labs: true, doc: "http-routing#expect-100-continue",
			about: "The app, not the router, says 100 Continue.",
		}),
		{
			name: "http-routing-2-dot-0", display: "Router 2.0", labs: true, doc: "http-routing",
			about: "On for every app; off, requests are served as the legacy router did.",
			on:    func(app *platform.App) bool { return !app.Routing.Legacy },
			set:   func(app *platform.App, on bool) { app.Routing.Legacy = !on },
		},
		policyTrait("round-robin", "Each web dyno gets requests in its turn"),
		policyTrait("least-outstanding", "The web dyno with the fewest requests in flight gets the next"),
		policyTrait("two-choices", "Of two web dynos at random the one with fewer requests in flight gets the next"),
	}
}

// preboot is, while an app has not chosen, as enabled as the number of its web
// dynos makes it.
func preboot(of []platform.Formation) trait {
	return trait{
		name: "preboot", display: "Preboot", doc: "preboot",
		about: "New web dynos serve before the old ones stop. On by itself with more than one web dyno.",
		on: func(app *platform.App) bool {
			if app.Preboot != nil {
				return *app.Preboot
			}
			for _, process := range of {
				if process.Type == "web" {
					return preboots(*app, process)
				}
			}
			return false
		},
		set: func(app *platform.App, on bool) { app.Preboot = &on },
	}
}

// policyTrait is a routing policy. Of these at most one is on; when none is, the
// policy is Heroku's.
func policyTrait(policy, about string) trait {
	return trait{
		name: "routing-" + policy, display: "Routing policy " + policy, doc: "http-routing#request-distribution",
		about: about + ". Turns off any other routing policy; with none it is random.",
		on:    func(app *platform.App) bool { return app.Routing.Policy == policy },
		set: func(app *platform.App, on bool) {
			switch {
			case on:
				app.Routing.Policy = policy
			case app.Routing.Policy == policy:
				app.Routing.Policy = ""
			}
		},
	}
}

func (t trait) of(app platform.App) platform.Feature {
	return platform.Feature{
		ID:   uuid.NewSHA1(uuid.NameSpaceURL, []byte("niwa:features/"+t.name)).String(),
		Name: t.name, DisplayName: t.display, Description: t.about, Labs: t.labs, Enabled: t.on(&app),
		DocURL:    "https://devcenter.heroku.com/articles/" + t.doc,
		CreatedAt: app.CreatedAt, UpdatedAt: app.UpdatedAt,
	}
}

// Features lists what an app can have turned on.
func (c *Controller) Features(ctx context.Context, nameOrID string) (all []platform.Feature, err error) {
	err = c.Store.View(ctx, func(tx *store.Tx) error {
		app, err := tx.App(nameOrID)
		if err != nil {
			return err
		}
		formation, err := tx.Formation(app.ID)
		for _, t := range traits(formation) {
			all = append(all, t.of(app))
		}
		return err
	})
	return all, err
}

// Feature returns a feature by name or id.
func (c *Controller) Feature(ctx context.Context, nameOrID, featureNameOrID string) (platform.Feature, error) {
	all, err := c.Features(ctx, nameOrID)
	if err != nil {
		return platform.Feature{}, err
	}
	for _, f := range all {
		if f.Name == featureNameOrID || f.ID == featureNameOrID {
			return f, nil
		}
	}
	return platform.Feature{}, platform.Missing("feature")
}

// SetFeature turns a feature of an app on or off.
func (c *Controller) SetFeature(ctx context.Context, nameOrID, featureNameOrID string, enabled bool) (f platform.Feature, err error) {
	if f, err = c.Feature(ctx, nameOrID, featureNameOrID); err != nil {
		return f, err
	}
	var app platform.App
	err = c.Store.Update(ctx, func(tx *store.Tx) error {
		if app, err = tx.App(nameOrID); err != nil {
			return err
		}
		app.UpdatedAt = now()
		for _, t := range traits(nil) {
			if t.name == f.Name {
				t.set(&app, enabled)
			}
		}
		return tx.SaveApp(app)
	})
	if err != nil {
		return f, err
	}
	verb := "Disable"
	if enabled {
		verb = "Enable"
	}
	c.apiLog(app.ID, fmt.Sprintf("%s %s feature by user %s", verb, f.Name, c.email(ctx)))
	if err := c.publish(ctx, app.ID); err != nil {
		return f, err
	}
	return c.Feature(ctx, app.ID, f.Name)
}
