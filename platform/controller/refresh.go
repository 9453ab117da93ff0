package controller

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"niwa/addons"
	"niwa/platform"
	"niwa/platform/store"
)

// refreshAddons writes down how add-ons are reached, where that has changed
// since niwa ran last: on another runtime this machine has another address,
// and a server that was restored may listen on another port.
func (c *Controller) refreshAddons(ctx context.Context) error {
	all, err := c.Addons(ctx, "")
	for _, addon := range all {
		if addon.State == platform.AddonProvisioned {
			c.report("looking where an add-on is", c.refresh(ctx, addon), "addon", addon.Name)
		}
	}
	return errors.Join(err, ctx.Err())
}

func (c *Controller) refresh(ctx context.Context, addon platform.Addon) error {
	_, _, provider, err := c.served(addon)
	if err != nil {
		return err
	}
	lister, ok := provider.(addons.CredentialLister)
	if !ok {
		return nil
	}
	there, err := lister.Credentials(ctx, addon.ID)
	if err != nil {
		return err
	}
	known, err := c.Credentials(ctx, addon.ID)
	if err != nil {
		return err
	}
	var moved []string
	for _, credential := range known {
		if slices.Contains(addon.Rotating, credential.Name) {
			continue // it gets another config anyway
		}
		if config := there[credential.Name]; config != nil && !maps.Equal(config, credential.Config) {
			moved = append(moved, credential.Name)
		}
	}
	if len(moved) == 0 {
		return nil
	}
	return c.releaseAddon(ctx, addon.ID, func(tx *store.Tx, addon *platform.Addon) (string, error) {
		for _, name := range moved {
			if err := tx.PutCredential(addon.ID, name, there[name]); err != nil {
				return "", err
			}
		}
		vars, err := varsOf(tx, *addon, there[addons.Default])
		return fmt.Sprintf("@ref:%s moved, setting %s.", addon.Name, vars), err
	})
}
