package api

import (
	"slices"

	"niwa/platform"
	"niwa/platform/controller"
)

func addonKeys() []key[platform.Addon] {
	return []key[platform.Addon]{
		{"name", func(a platform.Addon) string { return a.Name }},
		{"id", func(a platform.Addon) string { return a.ID }},
	}
}

// addonList lists the add-ons of an app, or of the account.
func (a *API) addonList(c *call) (any, error) {
	all, err := a.Controller.Addons(c.ctx, c.param("app"))
	if err != nil {
		return nil, err
	}
	return paged(c, all, c.encodeAddon, addonKeys()...)
}

func (a *API) userAddons(c *call) (any, error) {
	if err := c.checkUser(); err != nil {
		return nil, err
	}
	return a.addonList(c)
}

// addonOf finds the add-on of the address; where the address names an app too,
// the add-on must be its own or attached to it.
func (a *API) addonOf(c *call) (platform.Addon, error) {
	name, within := c.param("addon"), c.param("app")
	if within == "" {
		return a.Controller.Addon(c.ctx, name)
	}
	found, err := a.Controller.ResolveAddon(c.ctx, name, within)
	if err != nil {
		return platform.Addon{}, err
	}
	if len(found) > 1 {
		return platform.Addon{}, platform.Errorf(platform.MultipleMatches, "Ambiguous identifier; %d add-ons match %s. Use the add-on's own name.", len(found), name)
	}
	return found[0], a.belongs(c, found[0], within)
}

// belongs says whether an add-on is an app's own or attached to it.
func (a *API) belongs(c *call, addon platform.Addon, nameOrID string) error {
	app, err := a.Controller.App(c.ctx, nameOrID)
	if err != nil || app.ID == addon.AppID {
		return err
	}
	attachments, err := a.Controller.Attachments(c.ctx, "", addon.ID)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(attachments, func(t platform.Attachment) bool { return t.AppID == app.ID }) {
		return platform.Missing("add_on")
	}
	return nil
}

func (a *API) addonInfo(c *call) (any, error) {
	addon, err := a.addonOf(c)
	if err != nil {
		return nil, err
	}
	return c.encodeAddon(addon)
}

func (a *API) addonCreate(c *call) (any, error) {
	var in struct {
		Plan       identity `json:"plan"`
		Name       *string  `json:"name"`
		Attachment *struct {
			Name *string `json:"name"`
		} `json:"attachment"`
		Config  map[string]scalar `json:"config"`
		Confirm *string           `json:"confirm"`
	}
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	if in.Plan == "" {
		return nil, required("plan")
	}
	req := controller.AddonRequest{Plan: string(in.Plan), Options: map[string]string{}}
	for option, value := range in.Config {
		if err := tooLong("config."+option, option+string(value), maxText); err != nil {
			return nil, err
		}
		req.Options[option] = string(value)
	}
	if in.Name != nil {
		req.Name = *in.Name
	}
	if in.Attachment != nil && in.Attachment.Name != nil {
		req.Attachment = *in.Attachment.Name
	}
	if in.Confirm != nil {
		req.Confirm = *in.Confirm
	}
	addon, err := a.Controller.CreateAddon(c.ctx, c.param("app"), req)
	if err != nil {
		return nil, err
	}
	return c.encodeAddon(addon)
}

func (a *API) addonUpdate(c *call) (any, error) {
	var in struct {
		Plan *identity `json:"plan"`
		Name *string   `json:"name"`
	}
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	addon, err := a.addonOf(c)
	if err != nil {
		return nil, err
	}
	addon, err = a.Controller.UpdateAddon(c.ctx, addon.ID, (*string)(in.Plan), in.Name)
	if err != nil {
		return nil, err
	}
	return c.encodeAddon(addon)
}

func (a *API) addonDelete(c *call) (any, error) {
	var in struct {
		Force *bool `json:"force"`
	}
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	addon, err := a.addonOf(c)
	if err != nil {
		return nil, err
	}
	out, err := c.addonJSON(addon)
	if err != nil {
		return nil, err
	}
	addon, err = a.Controller.DestroyAddon(c.ctx, addon.ID, in.Force != nil && *in.Force)
	out.State = addon.State
	return out, err
}

// addonResolve finds what a user may mean by a name.
func (a *API) addonResolve(c *call) (any, error) {
	var in struct {
		Addon        identity  `json:"addon"`
		AddonService *identity `json:"addon_service"`
		App          *identity `json:"app"`
	}
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	if in.Addon == "" {
		return nil, required("addon")
	}
	found, err := a.Controller.ResolveAddon(c.ctx, string(in.Addon), orNone(in.App))
	if err != nil {
		return nil, err
	}
	if found = ofService(found, orNone(in.AddonService), func(x platform.Addon) string { return x.Service }); len(found) == 0 {
		return nil, platform.Missing("add_on")
	}
	return encodeAll(found, c.encodeAddon)
}

func orNone(i *identity) string {
	if i == nil {
		return ""
	}
	return string(*i)
}

// ofService keeps what is of a service; all when none is named.
func ofService[T any](all []T, service string, of func(T) string) []T {
	return slices.DeleteFunc(all, func(x T) bool { return service != "" && of(x) != service })
}
