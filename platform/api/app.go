package api

import (
	"niwa/platform"
	"niwa/platform/controller"
)

func (a *API) appList(c *call) (any, error) {
	apps, err := a.Controller.Apps(c.ctx)
	if err != nil {
		return nil, err
	}
	return paged(c, apps, c.encodeApp,
		key[platform.App]{"name", func(a platform.App) string { return a.Name }},
		key[platform.App]{"id", func(a platform.App) string { return a.ID }},
		key[platform.App]{"updated_at", func(a platform.App) string { return sortable(a.UpdatedAt) }})
}

func (a *API) userApps(c *call) (any, error) {
	if err := c.checkUser(); err != nil {
		return nil, err
	}
	return a.appList(c)
}

// appCreate takes what a team's app may be given as well, as far as it asks
// for nothing that only teams have.
func (a *API) appCreate(c *call) (any, error) {
	var in struct {
		Name         string   `json:"name"`
		Region       identity `json:"region"`
		Stack        identity `json:"stack"`
		Generation   identity `json:"generation"`
		FeatureFlags []string `json:"feature_flags"`
		Kernel       *string  `json:"kernel"`

		Team            identity `json:"team"`
		Organization    identity `json:"organization"`
		Space           identity `json:"space"`
		Personal        *bool    `json:"personal"`
		Locked          *bool    `json:"locked"`
		InternalRouting *bool    `json:"internal_routing"`
	}
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	yes := func(b *bool) bool { return b != nil && *b }
	switch {
	case in.Team != "" || in.Organization != "":
		return nil, platform.Missing("team")
	case in.Space != "":
		return nil, platform.Missing("space")
	case in.Region != "" && in.Region != regionName && string(in.Region) != stableID("regions", regionName):
		return nil, platform.Invalid("Region %s is not available; this niwa has the one region %s.", in.Region, regionName)
	case in.Generation != "" && in.Generation != generationName && string(in.Generation) != stableID("generations", generationName):
		return nil, platform.Invalid("Generation %s is not available; this niwa has the one generation %s.", in.Generation, generationName)
	case yes(in.Locked) || yes(in.InternalRouting):
		return nil, platform.Invalid("Only an app of a team can be locked or routed internally, and this niwa has no teams.")
	case len(in.FeatureFlags) > 0:
		return nil, platform.Missing("feature")
	}
	app, err := a.Controller.CreateApp(c.ctx, in.Name, stackNamed(string(in.Stack)))
	if err != nil {
		return nil, err
	}
	return c.encodeApp(app)
}

func (a *API) appInfo(c *call) (any, error) {
	app, err := a.Controller.App(c.ctx, c.param("app"))
	if err != nil {
		return nil, err
	}
	return c.encodeApp(app)
}

func (a *API) appUpdate(c *call) (any, error) {
	var in struct {
		Name        *string   `json:"name"`
		Maintenance *flag     `json:"maintenance"`
		BuildStack  *identity `json:"build_stack"`
	}
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	update := controller.AppUpdate{Name: in.Name, Maintenance: (*bool)(in.Maintenance)}
	if in.BuildStack != nil {
		name := stackNamed(string(*in.BuildStack))
		update.BuildStack = &name
	}
	app, err := a.Controller.UpdateApp(c.ctx, c.param("app"), update)
	if err != nil {
		return nil, err
	}
	return c.encodeApp(app)
}

func (a *API) appDelete(c *call) (any, error) {
	app, err := a.Controller.DestroyApp(c.ctx, c.param("app"))
	if err != nil {
		return nil, err
	}
	return c.encodeApp(app)
}
