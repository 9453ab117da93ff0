package controller

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"

	"niwa/addons"
	"niwa/addons/catalog"
	"niwa/platform"
	"niwa/platform/store"
)

// AddonRequest asks for a new add-on. Only Plan must be given.
type AddonRequest struct {
	Plan       string // heroku-redis:mini, or a service for its default plan
	Name       string
	Attachment string // what to attach it as
	Options    map[string]string
	Confirm    string // the app's name, when an attachment may be replaced
}

var addonName = regexp.MustCompile(`^[a-zA-Z][A-Za-z0-9_-]{2,255}$`)

// CreateAddon adds an add-on to an app. One of an asynchronous service is
// returned while it is being provisioned; its config vars and a release
// follow. A service is asynchronous by elements.yaml.
func (c *Controller) CreateAddon(ctx context.Context, nameOrID string, req AddonRequest) (platform.Addon, error) {
	plan, service, ok := c.Catalog.Plan(req.Plan)
	if !ok {
		return platform.Addon{}, noPlan(req.Plan)
	}
	if req.Name != "" && !addonName.MatchString(req.Name) {
		return platform.Addon{}, platform.Invalid("Add-on names start with a letter and hold letters, digits, dashes and underscores.")
	}
	addon := platform.Addon{
		ID: newID(), Name: req.Name, Service: service.Slug, Plan: plan.Name, State: platform.AddonProvisioning,
		Options: map[string]string{}, CreatedAt: now(), UpdatedAt: now(),
	}
	maps.Copy(addon.Options, req.Options)
	err := c.Store.Update(ctx, func(tx *store.Tx) error {
		app, err := tx.App(nameOrID)
		if err != nil {
			return err
		}
		addon.AppID = app.ID
		if addon.Name == "" {
			addon.Name = fmt.Sprintf("%s-%s-%05d", strings.TrimPrefix(service.Slug, "heroku-"), pick(adjectives), rand.IntN(100_000))
		}
		if err := tx.InsertAddon(addon); err != nil {
			return err
		}
		_, _, err = c.attach(tx, app, addon, service, AttachmentRequest{Name: req.Attachment, Confirm: req.Confirm})
		return err
	})
	if err != nil {
		return platform.Addon{}, err
	}
	c.apiLog(addon.AppID, fmt.Sprintf("Add-on %s (%s) requested by user %s", addon.Name, addon.Plan, c.email(ctx)))
	if service.Async {
		c.later(func(ctx context.Context) { c.report("provisioning", c.provision(ctx, addon.ID), "addon", addon.Name) })
		return addon, nil
	}
	if err := c.provision(ctx, addon.ID); err != nil {
		return platform.Addon{}, err
	}
	return c.Addon(ctx, addon.ID)
}

func noPlan(name string) *platform.Error {
	return platform.Invalid("Couldn't find either the add-on service or the add-on plan of %q.", name)
}

// varsOf names the config vars that an add-on sets in its own app.
func varsOf(tx *store.Tx, addon platform.Addon, config map[string]string) (string, error) {
	attachments, err := tx.AttachmentsOf(addon.ID)
	var names []string
	for _, a := range attachments {
		for _, key := range slices.Sorted(maps.Keys(config)) {
			if a.AppID == addon.AppID {
				names = append(names, a.Name+"_"+key)
			}
		}
	}
	return strings.Join(names, ", "), err
}

// made is a release that a change brought to an app.
type made struct {
	app     platform.App
	release platform.Release
}

// releaseAddon changes an add-on and makes a release, described by what edit
// returns, in every app it is attached to.
func (c *Controller) releaseAddon(ctx context.Context, id string, edit func(*store.Tx, *platform.Addon) (string, error)) error {
	var all []made
	err := c.Store.Update(ctx, func(tx *store.Tx) error {
		all = nil
		addon, err := tx.Addon(id)
		if err != nil {
			return err
		}
		text, err := edit(tx, &addon)
		if err != nil {
			return err
		}
		addon.UpdatedAt = now()
		if err := tx.SaveAddon(addon); err != nil {
			return err
		}
		apps, err := attachedApps(tx, addon.ID)
		for _, app := range apps {
			app, r, err := c.release(tx, app, change{description: text, quiet: true})
			if err != nil {
				return err
			}
			all = append(all, made{app, r})
		}
		return err
	})
	if err != nil {
		return err
	}
	c.allReleased(ctx, all)
	return nil
}

func (c *Controller) allReleased(ctx context.Context, all []made) {
	for _, m := range all {
		c.released(ctx, m.app, m.release)
	}
}

func attachedApps(tx *store.Tx, addonID string) ([]platform.App, error) {
	attachments, err := tx.AttachmentsOf(addonID)
	if err != nil {
		return nil, err
	}
	var apps []platform.App
	seen := map[string]bool{}
	for _, a := range attachments {
		if seen[a.AppID] {
			continue
		}
		seen[a.AppID] = true
		app, err := tx.App(a.AppID)
		if err != nil {
			return nil, err
		}
		apps = append(apps, app)
	}
	return apps, nil
}

// served finds an add-on's plan in the catalog and the provider that serves it.
func (c *Controller) served(addon platform.Addon) (catalog.Plan, catalog.Service, addons.Provider, error) {
	plan, service, ok := c.Catalog.Plan(addon.Plan)
	if !ok {
		return plan, service, nil, platform.Errorf(platform.Unavailable, "Plan %s of %s is no longer in the catalog.", addon.Plan, addon.Name)
	}
	provider := c.Providers[service.Provider]
	if provider == nil {
		return plan, service, nil, platform.Errorf(platform.Unavailable, "Nothing here provides %s.", service.Slug)
	}
	return plan, service, provider, nil
}

// Addon returns an add-on by name or id.
func (c *Controller) Addon(ctx context.Context, nameOrID string) (a platform.Addon, err error) {
	err = c.Store.View(ctx, func(tx *store.Tx) error {
		a, err = tx.Addon(nameOrID)
		return err
	})
	return a, err
}

// Addons lists the add-ons of an app, or of all when nameOrID is empty.
func (c *Controller) Addons(ctx context.Context, nameOrID string) (all []platform.Addon, err error) {
	err = c.Store.View(ctx, func(tx *store.Tx) error {
		if nameOrID == "" {
			all, err = tx.Addons()
			return err
		}
		app, err := tx.App(nameOrID)
		if err != nil {
			return err
		}
		all, err = tx.AddonsOf(app.ID)
		return err
	})
	gone := func(a platform.Addon) bool { return a.State == platform.AddonDeprovisioned }
	return slices.DeleteFunc(all, gone), err
}

// ResolveAddon finds what a user may mean by name: an add-on's name or id, or
// in an app also an attachment's, a service's or a plan's.
func (c *Controller) ResolveAddon(ctx context.Context, name, appNameOrID string) (found []platform.Addon, err error) {
	err = c.Store.View(ctx, func(tx *store.Tx) error {
		found = nil
		attachments, err := tx.Attachments()
		if err != nil {
			return err
		}
		var app platform.App
		if appNameOrID != "" {
			if app, err = tx.App(appNameOrID); err != nil {
				return err
			}
		}
		if addon, err := tx.Addon(name); err == nil {
			found = []platform.Addon{addon}
			return nil
		} else if !missing(err) || app.ID == "" {
			return err
		}
		seen := map[string]bool{}
		for _, a := range attachments {
			addon, err := tx.Addon(a.AddonID)
			if err != nil {
				return err
			}
			if a.AppID == app.ID && !seen[addon.ID] && meant(name, a, addon) {
				seen[addon.ID] = true
				found = append(found, addon)
			}
		}
		if len(found) == 0 {
			return platform.Missing("add_on")
		}
		return nil
	})
	return found, err
}

// UpdateAddon moves an add-on to another plan of its service, or renames it;
// nil leaves it.
func (c *Controller) UpdateAddon(ctx context.Context, nameOrID string, plan, name *string) (platform.Addon, error) {
	addon, err := c.Addon(ctx, nameOrID)
	if err != nil {
		return addon, err
	}
	if name != nil && !addonName.MatchString(*name) {
		return addon, platform.Invalid("Add-on names start with a letter and hold letters, digits, dashes and underscores.")
	}
	defer c.locks.lock("addon " + addon.ID)()
	if plan != nil {
		if err := c.changePlan(ctx, addon, *plan); err != nil {
			return addon, err
		}
	}
	if name != nil {
		err := c.Store.Update(ctx, func(tx *store.Tx) error {
			if addon, err = tx.Addon(addon.ID); err != nil {
				return err
			}
			addon.Name, addon.UpdatedAt = *name, now()
			return tx.SaveAddon(addon)
		})
		if err != nil {
			return addon, err
		}
	}
	return c.Addon(ctx, addon.ID)
}

func (c *Controller) changePlan(ctx context.Context, addon platform.Addon, name string) error {
	plan, service, ok := c.Catalog.Plan(name)
	if !ok {
		plan, service, ok = c.Catalog.Plan(addon.Service + ":" + name)
	}
	if !ok || service.Slug != addon.Service {
		return noPlan(name)
	}
	_, _, provider, err := c.served(addon)
	if err != nil {
		return err
	}
	if addon.State != platform.AddonProvisioned {
		return platform.Invalid("Add-on %s is %s; change its plan once it is provisioned.", addon.Name, addon.State)
	}
	// It is written down first: the next start goes by what is on record.
	if err := c.putPlan(ctx, addon.ID, plan.Name); err != nil {
		return err
	}
	if err := provider.ChangePlan(ctx, addon.ID, plan.Limits()); err != nil {
		return errors.Join(err, c.putPlan(context.WithoutCancel(ctx), addon.ID, addon.Plan))
	}
	return c.releaseAddon(ctx, addon.ID, func(_ *store.Tx, addon *platform.Addon) (string, error) {
		return fmt.Sprintf("Change %s to %s", addon.Name, plan.Name), nil
	})
}

func (c *Controller) putPlan(ctx context.Context, id, plan string) error {
	return c.Store.Update(ctx, func(tx *store.Tx) error {
		addon, err := tx.Addon(id)
		if err != nil {
			return err
		}
		addon.Plan, addon.UpdatedAt = plan, now()
		return tx.SaveAddon(addon)
	})
}

// DestroyAddon removes an add-on with its data. One that is attached to
// other apps goes only when force is set.
func (c *Controller) DestroyAddon(ctx context.Context, nameOrID string, force bool) (addon platform.Addon, err error) {
	var all []made
	err = c.Store.Update(ctx, func(tx *store.Tx) error {
		if addon, err = tx.Addon(nameOrID); err != nil {
			return err
		}
		apps, err := attachedApps(tx, addon.ID)
		if err != nil {
			return err
		}
		for _, app := range apps {
			if app.ID != addon.AppID && !force {
				return platform.Errorf(platform.Conflict, "Add-on %s is attached to %s too; detach it there first, or use --force.", addon.Name, app.Name)
			}
		}
		all, err = c.retire(tx, addon, "")
		return err
	})
	if err != nil {
		return addon, err
	}
	c.allReleased(ctx, all)
	addon.State = platform.AddonDeprovisioning
	if err := c.deprovision(ctx, addon.ID); err != nil {
		c.report("deprovisioning", err, "addon", addon.Name)
		c.persist("deprovisioning", func(ctx context.Context) error { return c.deprovision(ctx, addon.ID) }, "addon", addon.Name)
		return addon, nil
	}
	addon.State = platform.AddonDeprovisioned
	return addon, nil
}

// retire marks an add-on to be deprovisioned and takes it out of every app,
// with a release in each but the one that is going itself.
func (c *Controller) retire(tx *store.Tx, addon platform.Addon, goingApp string) (all []made, err error) {
	apps, err := attachedApps(tx, addon.ID)
	if err != nil {
		return nil, err
	}
	attachments, err := tx.AttachmentsOf(addon.ID)
	if err != nil {
		return nil, err
	}
	for _, a := range attachments {
		if err := tx.DeleteAttachment(a.ID); err != nil {
			return nil, err
		}
	}
	addon.State, addon.UpdatedAt = platform.AddonDeprovisioning, now()
	if err := tx.SaveAddon(addon); err != nil {
		return nil, err
	}
	for _, app := range apps {
		if app.ID == goingApp {
			continue
		}
		app, r, err := c.release(tx, app, change{description: fmt.Sprintf("Detach %s (@ref:%s)", addon.Service, addon.Name), quiet: true})
		if err != nil {
			return nil, err
		}
		all = append(all, made{app, r})
	}
	return all, nil
}
