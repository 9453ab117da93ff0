package api

import (
	"context"

	"niwa/platform"
)

func (a *API) acmEnable(c *call) (any, error)  { return c.acm(a.Controller.EnableACM) }
func (a *API) acmDisable(c *call) (any, error) { return c.acm(a.Controller.DisableACM) }

// acmRefresh takes the one thing that there is to refresh.
func (a *API) acmRefresh(c *call) (any, error) {
	var in struct {
		Refresh *flag `json:"acm_refresh"`
	}
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	if in.Refresh == nil || !*in.Refresh {
		return nil, platform.Invalid("Field acm_refresh must be true.")
	}
	return c.acm(a.Controller.RefreshACM)
}

func (c *call) acm(verb func(context.Context, string) (platform.App, error)) (any, error) {
	app, err := verb(c.ctx, c.param("app"))
	if err != nil {
		return nil, err
	}
	return c.encodeApp(app)
}
