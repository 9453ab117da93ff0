package controller

import (
	"context"
	"errors"
	"regexp"

	"niwa/addons"
	"niwa/platform"
	"niwa/platform/store"
)

// Credential is one credential of an add-on, with its config vars named
// without an attachment's prefix.
type Credential struct {
	Name   string
	Config platform.Config
}

var credentialName = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,47}$`)

// AddonInfo returns what an add-on's provider says about it.
func (c *Controller) AddonInfo(ctx context.Context, nameOrID string) ([]addons.Row, error) {
	addon, plan, informer, err := power[addons.Informer](c, ctx, nameOrID, "show details")
	if err != nil {
		return nil, err
	}
	return informer.Info(ctx, addon.ID, plan)
}

// Credentials lists an add-on's credentials.
func (c *Controller) Credentials(ctx context.Context, nameOrID string) (all []Credential, err error) {
	err = c.Store.View(ctx, func(tx *store.Tx) error {
		addon, err := tx.Addon(nameOrID)
		if err != nil {
			return err
		}
		names, err := tx.Credentials(addon.ID)
		for _, name := range names {
			config, err := tx.Credential(addon.ID, name)
			if err != nil {
				return err
			}
			all = append(all, Credential{name, config})
		}
		return err
	})
	return all, err
}

// Credential returns one credential of an add-on.
func (c *Controller) Credential(ctx context.Context, nameOrID, name string) (Credential, error) {
	all, err := c.Credentials(ctx, nameOrID)
	for _, cred := range all {
		if cred.Name == name {
			return cred, err
		}
	}
	if err == nil {
		err = platform.Missing("credential")
	}
	return Credential{}, err
}

// CreateCredential makes a further credential for an add-on.
func (c *Controller) CreateCredential(ctx context.Context, nameOrID, name string) (Credential, error) {
	if !credentialName.MatchString(name) {
		return Credential{}, platform.Invalid("Credential names start with a lower-case letter and hold up to 48 letters, digits, dashes and underscores.")
	}
	addon, _, creator, err := power[addons.CredentialCreator](c, ctx, nameOrID, "make further credentials")
	if err != nil {
		return Credential{}, err
	}
	defer c.locks.lock("addon " + addon.ID)()
	if _, err := c.Credential(ctx, addon.ID, name); err == nil {
		return Credential{}, platform.Invalid("Credential %s is there already.", name)
	}
	config, err := creator.CreateCredential(ctx, addon.ID, name)
	if err != nil {
		return Credential{}, err
	}
	return Credential{name, config}, c.Store.Update(ctx, func(tx *store.Tx) error { return tx.PutCredential(addon.ID, name, config) })
}

// DestroyCredential removes a credential that is attached nowhere.
func (c *Controller) DestroyCredential(ctx context.Context, nameOrID, name string) error {
	addon, _, destroyer, err := power[addons.CredentialDestroyer](c, ctx, nameOrID, "remove credentials")
	if err != nil {
		return err
	}
	if name == addons.Default {
		return platform.Invalid("The default credential goes with its add-on.")
	}
	defer c.locks.lock("addon " + addon.ID)()
	if _, err := c.Credential(ctx, addon.ID, name); err != nil {
		return err
	}
	attachments, err := c.Attachments(ctx, "", addon.ID)
	if err != nil {
		return err
	}
	for _, a := range attachments {
		if credentialOf(a) == name {
			return platform.Invalid("Credential %s is attached as %s; detach it first.", name, a.Name)
		}
	}
	if err := destroyer.DestroyCredential(ctx, addon.ID, name); err != nil {
		return err
	}
	return c.Store.Update(ctx, func(tx *store.Tx) error { return tx.DeleteCredential(addon.ID, name) })
}

// RotateCredentials replaces the secrets of credentials, and releases each new
// one wherever the add-on is attached. When that fails halfway it goes on, also
// after a restart: apps must not keep a secret that no longer works.
func (c *Controller) RotateCredentials(ctx context.Context, nameOrID string, names ...string) error {
	addon, _, _, err := power[addons.Rotator](c, ctx, nameOrID, "rotate credentials")
	if err != nil {
		return err
	}
	if err := c.toRotate(ctx, addon.ID, names); err != nil {
		return err
	}
	var errs []error
	for _, name := range names {
		err := c.rotate(ctx, addon.ID, name)
		if err != nil {
			c.persist("rotating a credential", func(ctx context.Context) error { return c.rotate(ctx, addon.ID, name) }, "addon", addon.Name)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// ResetAddon empties an add-on.
func (c *Controller) ResetAddon(ctx context.Context, nameOrID string) error {
	addon, _, resetter, err := power[addons.Resetter](c, ctx, nameOrID, "be reset")
	if err != nil {
		return err
	}
	defer c.locks.lock("addon " + addon.ID)()
	return resetter.Reset(ctx, addon.ID)
}

// Disconnect ends every connection to an add-on.
func (c *Controller) Disconnect(ctx context.Context, nameOrID string) error {
	addon, _, d, err := power[addons.Disconnector](c, ctx, nameOrID, "end connections")
	if err != nil {
		return err
	}
	return d.Disconnect(ctx, addon.ID)
}

// ResetStats sets the counters an add-on keeps back to zero.
func (c *Controller) ResetStats(ctx context.Context, nameOrID string) error {
	addon, _, r, err := power[addons.StatsResetter](c, ctx, nameOrID, "reset its statistics")
	if err != nil {
		return err
	}
	return r.ResetStats(ctx, addon.ID)
}

// Settings lists an add-on's settings.
func (c *Controller) Settings(ctx context.Context, nameOrID string) ([]addons.Setting, error) {
	addon, _, s, err := power[addons.Configurer](c, ctx, nameOrID, "be configured")
	if err != nil {
		return nil, err
	}
	return s.Settings(ctx, addon.ID)
}

// Configure changes a setting of an add-on and returns them all.
func (c *Controller) Configure(ctx context.Context, nameOrID, setting, value string) ([]addons.Setting, error) {
	addon, _, s, err := power[addons.Configurer](c, ctx, nameOrID, "be configured")
	if err != nil {
		return nil, err
	}
	return s.Configure(ctx, addon.ID, setting, value)
}

// power finds an add-on that is provisioned and what its provider can do
// beyond the contract.
func power[P any](c *Controller, ctx context.Context, nameOrID, what string) (addon platform.Addon, plan addons.Plan, p P, err error) {
	if addon, err = c.Addon(ctx, nameOrID); err != nil {
		return addon, plan, p, err
	}
	catalogPlan, service, provider, err := c.served(addon)
	if err != nil {
		return addon, plan, p, err
	}
	if addon.State != platform.AddonProvisioned {
		return addon, plan, p, platform.Errorf(platform.NotFound, "Add-on %s is %s.", addon.Name, addon.State)
	}
	p, ok := provider.(P)
	if !ok {
		return addon, plan, p, platform.Invalid("%s cannot %s.", service.Name, what)
	}
	return addon, catalogPlan.Limits(), p, nil
}
