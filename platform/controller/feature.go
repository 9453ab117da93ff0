package controller

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"niwa/platform"
	"niwa/platform/store"
)

// Features lists what an app can have turned on.
func (c *Controller) Features(ctx context.Context, nameOrID string) (all []platform.Feature, err error) {
	err = c.Store.View(ctx, func(tx *store.Tx) error {
		app, err := tx.App(nameOrID)
		if err != nil {
			return err
		}
		f, err := preboot(tx, app)
		all = []platform.Feature{metrics(app), f}
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
		switch f.Name {
		case prebootFeature:
			app.Preboot = &enabled
		case metricsFeature:
			app.RuntimeMetrics = enabled
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
	return c.Feature(ctx, app.ID, f.Name)
}

// Names of features, as they are on Heroku.
const (
	prebootFeature = "preboot"
	metricsFeature = "log-runtime-metrics"
)

func feature(app platform.App, name, display, about, doc string, enabled bool) platform.Feature {
	return platform.Feature{
		ID:   uuid.NewSHA1(uuid.NameSpaceURL, []byte("niwa:features/"+name)).String(),
		Name: name, DisplayName: display, Description: about, Enabled: enabled,
		DocURL:    "https://devcenter.heroku.com/articles/" + doc,
		CreatedAt: app.CreatedAt, UpdatedAt: app.UpdatedAt,
	}
}

func metrics(app platform.App) platform.Feature {
	return feature(app, metricsFeature, "Runtime metrics",
		"The log tells every 20 seconds how much memory each dyno uses.", "log-runtime-metrics", app.RuntimeMetrics)
}

// preboot is, while an app has not chosen, as enabled as the number of its web
// dynos makes it.
func preboot(tx *store.Tx, app platform.App) (platform.Feature, error) {
	formation, err := tx.Formation(app.ID)
	enabled := false
	for _, process := range formation {
		if process.Type == "web" {
			enabled = preboots(app, process)
		}
	}
	if app.Preboot != nil {
		enabled = *app.Preboot
	}
	return feature(app, prebootFeature, "Preboot",
		"New web dynos serve before the old ones stop. On by itself with more than one web dyno.", "preboot", enabled), err
}
