package controller

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"niwa/addons"
	"niwa/platform"
	"niwa/platform/store"
)

// refreshTime is how long a start waits for providers. What a server that is
// away would have told is asked again later.
const refreshTime = 20 * time.Second

// refreshAddons brings add-ons and what is on record of them in line before
// dynos start: the limits of their plans, and how they are reached. On another
// runtime this machine has another address, and a server that was restored, or
// is elsewhere, may have moved.
func (c *Controller) refreshAddons(ctx context.Context) error {
	all, err := c.Addons(ctx, "")
	if err != nil {
		return err
	}
	soon, cancel := context.WithTimeout(ctx, refreshTime)
	defer cancel()
	var group errgroup.Group
	group.SetLimit(8)
	for _, addon := range all {
		if addon.State != platform.AddonProvisioned {
			continue
		}
		group.Go(func() error {
			again := func(ctx context.Context) error { return c.refresh(ctx, addon.ID) }
			c.orPersist(soon, "looking where an add-on is", again, "addon", addon.Name)
			return nil
		})
	}
	_ = group.Wait() // its functions return no error
	return ctx.Err()
}

func (c *Controller) refresh(ctx context.Context, id string) error {
	defer c.locks.lock("addon " + id)()
	addon, err := c.Addon(ctx, id)
	if missing(err) {
		return nil
	}
	if err != nil || addon.State != platform.AddonProvisioned {
		return err
	}
	plan, _, provider, err := c.served(addon)
	if err == nil {
		err = provider.ChangePlan(ctx, addon.ID, plan.Limits())
	}
	if provider == nil || missing(err) { // which will be no different later
		c.report("looking where an add-on is", err, "addon", addon.Name)
		return nil
	}
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
