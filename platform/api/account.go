package api

import (
	"time"

	"niwa/platform"
)

func (a *API) accountInfo(c *call) (any, error) { return c.encodeAccount(c.account), nil }

func (a *API) userInfo(c *call) (any, error) {
	if err := c.checkUser(); err != nil {
		return nil, err
	}
	return c.encodeAccount(c.account), nil
}

// checkUser says whether the :user of the address is the one account.
func (c *call) checkUser() error {
	switch c.param("user") {
	case "~", c.account.ID, c.account.Email:
		return nil
	}
	return platform.Missing("user")
}

func (a *API) rateLimits(c *call) (any, error) {
	return struct {
		Remaining int `json:"remaining"`
	}{a.limits.left(c.authorization.ID, time.Now())}, nil
}
