package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"niwa/addons"
	"niwa/addons/catalog"
	"niwa/platform"
	"niwa/platform/store"
)

const (
	// firstPause lies between two tries of what failed; it doubles each time.
	firstPause = 250 * time.Millisecond
	longPause  = time.Minute
	// maxTries is how often what has been acknowledged is tried, in sixteen
	// seconds together, before it is given up. The server or the engine that it
	// takes may just be coming back from a crash.
	maxTries = 7
)

// persist repeats, behind the verbs, a step that failed until it succeeds. The
// step must be idempotent; it is taken up by the next start, too.
func (c *Controller) persist(what string, step func(context.Context) error, args ...any) {
	c.later(func(ctx context.Context) {
		for pause := firstPause; pauseFor(ctx, pause); pause = min(2*pause, longPause) {
			err := step(ctx)
			if err == nil {
				return
			}
			c.report(what, err, args...)
		}
	})
}

// pauseFor returns false when ctx ended meanwhile.
func pauseFor(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// settleAddons goes on with every add-on that is coming, changing or going, and
// forgets those that failed.
func (c *Controller) settleAddons(ctx context.Context) error {
	var all []platform.Addon
	err := c.Store.View(ctx, func(tx *store.Tx) (err error) {
		all, err = tx.Addons()
		return err
	})
	for _, a := range all {
		c.later(func(ctx context.Context) {
			switch a.State {
			case platform.AddonProvisioning:
				c.report("provisioning", c.provision(ctx, a.ID), "addon", a.Name)
			case platform.AddonDeprovisioning, platform.AddonDeprovisioned:
				c.orPersist(ctx, "deprovisioning", func(ctx context.Context) error { return c.deprovision(ctx, a.ID) }, "addon", a.Name)
			}
		})
		for _, name := range a.Rotating {
			c.later(func(ctx context.Context) {
				c.orPersist(ctx, "rotating a credential", func(ctx context.Context) error { return c.rotate(ctx, a.ID, name) }, "addon", a.Name)
			})
		}
	}
	return err
}

// orPersist takes a step, and persists when it fails.
func (c *Controller) orPersist(ctx context.Context, what string, step func(context.Context) error, args ...any) {
	if err := step(ctx); err != nil {
		c.report(what, err, args...)
		c.persist(what, step, args...)
	}
}

// provision has an add-on's provider make what was asked for, and releases
// its config vars. Called again it goes on with what is still provisioning.
// When the provider fails, the add-on ends as deprovisioned, with the reason.
func (c *Controller) provision(ctx context.Context, id string) error {
	defer c.locks.lock("addon " + id)()
	addon, err := c.Addon(ctx, id)
	if err != nil || addon.State != platform.AddonProvisioning {
		return err
	}
	plan, service, provider, err := c.served(addon)
	if err != nil {
		return err
	}
	res, further, err := c.provide(ctx, provider, service, addons.Request{ID: addon.ID, Name: addon.Name, Plan: plan.Limits(), Options: addon.Options})
	if ctx.Err() != nil {
		return ctx.Err() // niwa stops: the next start goes on
	}
	if err != nil {
		return c.failed(ctx, provider, addon, err)
	}
	return c.releaseAddon(ctx, addon.ID, func(tx *store.Tx, addon *platform.Addon) (string, error) {
		if addon.State != platform.AddonProvisioning { // it was destroyed meanwhile
			return "", platform.Missing("add_on")
		}
		addon.State, addon.Engine, addon.ProvisionMessage = platform.AddonProvisioned, res.Engine, res.Message
		vars, err := varsOf(tx, *addon, res.Config)
		if err != nil {
			return "", err
		}
		text := fmt.Sprintf("Attach %s (@ref:%s)", vars, addon.Name)
		if service.Async {
			text = fmt.Sprintf("@ref:%s completed provisioning, setting %s.", addon.Name, vars)
		}
		for name, config := range further {
			if err := tx.PutCredential(addon.ID, name, config); err != nil {
				return "", err
			}
		}
		return text, tx.PutCredential(addon.ID, addons.Default, res.Config)
	})
}

// provide asks a provider for a resource with its further credentials: once
// when somebody waits for it, and a few times when that has been acknowledged.
func (c *Controller) provide(ctx context.Context, provider addons.Provider, service catalog.Service, req addons.Request) (res addons.Resource, further map[string]platform.Config, err error) {
	tries := 1
	if service.Async {
		tries = maxTries
	}
	pause := firstPause
	for n := range tries {
		if n > 0 && !pauseFor(ctx, pause<<(n-1)) {
			return res, further, ctx.Err()
		}
		res, err = provider.Provision(ctx, req)
		further = map[string]platform.Config{}
		for _, name := range service.Credentials {
			if err == nil {
				further[name], err = furtherCredential(ctx, provider, req.ID, name)
			}
		}
		if err == nil || refuses(err) {
			break
		}
		c.report("provisioning", err, "addon", req.Name)
	}
	return res, further, err
}

// refuses says whether an error is an answer, which would be the same again.
func refuses(err error) bool {
	var told *platform.Error
	return errors.As(err, &told)
}

func furtherCredential(ctx context.Context, provider addons.Provider, id, name string) (platform.Config, error) {
	creator, ok := provider.(addons.CredentialCreator)
	if !ok {
		return nil, fmt.Errorf("its provider makes no credential %s, as the catalog says it should", name)
	}
	return creator.CreateCredential(ctx, id, name)
}

// failed ends an add-on whose provider could not make it, and removes what
// there is of it. Its row stays until the next start, for clients that wait for
// it to read what became of it.
func (c *Controller) failed(ctx context.Context, provider addons.Provider, addon platform.Addon, reason error) error {
	c.apiLog(addon.AppID, fmt.Sprintf("Provisioning of %s failed: %v", addon.Name, reason))
	err := c.Store.Update(ctx, func(tx *store.Tx) error {
		addon.State, addon.ProvisionMessage, addon.UpdatedAt = platform.AddonDeprovisioned, reason.Error(), now()
		attachments, err := tx.AttachmentsOf(addon.ID)
		for _, a := range attachments {
			err = errors.Join(err, tx.DeleteAttachment(a.ID))
		}
		return errors.Join(err, tx.SaveAddon(addon))
	})
	remove := func(ctx context.Context) error { return provider.Deprovision(ctx, addon.ID) }
	c.orPersist(ctx, "removing what could not be provisioned", remove, "addon", addon.Name)
	if !refuses(reason) {
		reason = platform.Errorf(platform.Unavailable, "Provisioning of %s failed: %v", addon.Name, reason)
	}
	return errors.Join(err, reason)
}

// deprovision has an add-on's provider remove it, and forgets it.
func (c *Controller) deprovision(ctx context.Context, id string) error {
	defer c.locks.lock("addon " + id)()
	addon, err := c.Addon(ctx, id)
	if missing(err) {
		return nil
	}
	if err != nil || addon.State != platform.AddonDeprovisioning && addon.State != platform.AddonDeprovisioned {
		return err
	}
	again := func(ctx context.Context) {
		c.report("deprovisioning", c.deprovision(ctx, id), "addon", addon.Name)
	}
	if c.hold.putOff(again) {
		return nil
	}
	_, _, provider, err := c.served(addon)
	if err != nil {
		return err
	}
	if err := provider.Deprovision(ctx, addon.ID); err != nil {
		return err
	}
	return c.Store.Update(ctx, func(tx *store.Tx) error { return tx.DeleteAddon(addon.ID) })
}

// toRotate writes down which credentials are to get new secrets.
func (c *Controller) toRotate(ctx context.Context, id string, names []string) error {
	return c.Store.Update(ctx, func(tx *store.Tx) error {
		addon, err := tx.Addon(id)
		if err != nil {
			return err
		}
		for _, name := range names {
			if _, err := tx.Credential(id, name); err != nil {
				return err
			}
			if !slices.Contains(addon.Rotating, name) {
				addon.Rotating = append(addon.Rotating, name)
			}
		}
		return tx.SaveAddon(addon)
	})
}

// rotate gives a credential that is to have it a new secret, and releases it.
func (c *Controller) rotate(ctx context.Context, id, name string) error {
	defer c.locks.lock("addon " + id)()
	addon, err := c.Addon(ctx, id)
	if missing(err) {
		return nil
	}
	if err != nil || addon.State != platform.AddonProvisioned || !slices.Contains(addon.Rotating, name) {
		return err
	}
	_, _, provider, err := c.served(addon)
	if err != nil {
		return err
	}
	rotator, ok := provider.(addons.Rotator)
	if !ok {
		return fmt.Errorf("the provider of %s rotates no credentials any more", addon.Service)
	}
	config, err := rotator.Rotate(ctx, id, name)
	if err != nil {
		return err
	}
	return c.releaseAddon(ctx, id, func(tx *store.Tx, addon *platform.Addon) (string, error) {
		if addon.State != platform.AddonProvisioned { // it was destroyed meanwhile
			return "", platform.Missing("add_on")
		}
		addon.Rotating = slices.DeleteFunc(addon.Rotating, func(n string) bool { return n == name })
		return fmt.Sprintf("Rotate credential %s (@ref:%s)", name, addon.Name), tx.PutCredential(id, name, config)
	})
}
