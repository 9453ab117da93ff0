package controller

import (
	"context"
	"fmt"
	"io"
	"slices"

	"niwa/platform"
	"niwa/platform/build/manifest"
	"niwa/platform/store"
)

// setUp adds the add-ons that heroku.yml or a buildpack wants to an app that
// was never deployed, and waits for them: the release phase may need them.
// Heroku does the first when an app is made of its manifest; by then the official client has,
// with "heroku create --manifest", so what is there already is left alone.
func (c *Controller) setUp(ctx context.Context, app platform.App, wanted []manifest.Addon, out io.Writer) error {
	missing, err := c.missingAddons(ctx, app.ID, wanted)
	if err != nil {
		return err
	}
	for _, a := range missing {
		fmt.Fprintf(out, "=== Adding %s\n", a.Plan)
		addon, err := c.CreateAddon(ctx, app.ID, AddonRequest{Plan: a.Plan, Attachment: a.As})
		if err != nil {
			return err
		}
		if err := c.provision(ctx, addon.ID); err != nil { // waits for the one that is under way
			return err
		}
		if addon, err = c.Addon(ctx, addon.ID); err != nil {
			return err
		}
		if addon.State != platform.AddonProvisioned {
			return platform.Invalid("The add-on %s could not be provisioned: %s", a.Plan, addon.ProvisionMessage)
		}
	}
	return nil
}

// missingAddons are those of wanted that an app lacks: no add-on is attached
// under the name or, where none is given, none of the service.
func (c *Controller) missingAddons(ctx context.Context, appID string, wanted []manifest.Addon) (missing []manifest.Addon, err error) {
	err = c.Store.View(ctx, func(tx *store.Tx) error {
		app, err := tx.App(appID)
		if err != nil || app.SlugSize != nil {
			return err
		}
		var names, services []string
		attachments, err := tx.AttachmentsIn(appID)
		if err != nil {
			return err
		}
		for _, a := range attachments {
			addon, err := tx.Addon(a.AddonID)
			if err != nil {
				return err
			}
			names, services = append(names, a.Name), append(services, addon.Service)
		}
		missing = slices.DeleteFunc(slices.Clone(wanted), func(a manifest.Addon) bool {
			if a.As != "" {
				return slices.Contains(names, a.As)
			}
			_, service, ok := c.Catalog.Plan(a.Plan)
			return ok && slices.Contains(services, service.Slug)
		})
		return nil
	})
	return missing, err
}
