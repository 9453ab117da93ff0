package api

import (
	"niwa/platform"
)

func (a *API) configInfo(c *call) (any, error) {
	return orEmpty(a.Controller.ConfigVars(c.ctx, c.param("app")))
}

func (a *API) configUpdate(c *call) (any, error) {
	var vars map[string]*string
	if err := c.decode(&vars); err != nil {
		return nil, err
	}
	return orEmpty(a.Controller.SetConfigVars(c.ctx, c.param("app"), vars))
}

func (a *API) releaseConfig(c *call) (any, error) {
	return orEmpty(a.Controller.ReleaseConfigVars(c.ctx, c.param("app"), c.param("release")))
}

// orEmpty makes no config vars {}, not null.
func orEmpty(config platform.Config, err error) (any, error) {
	if config == nil {
		config = platform.Config{}
	}
	return config, err
}
