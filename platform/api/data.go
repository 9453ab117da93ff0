package api

import (
	"errors"
	"net/url"
	"strconv"
	"strings"

	"niwa/addons"
	"niwa/platform"
	"niwa/platform/controller"
)

// dataAddon finds the add-on of a Data API's address, which must be of that
// API's provider.
func (a *API) dataAddon(c *call, provider string) (platform.Addon, error) {
	addon, err := a.Controller.Addon(c.ctx, c.param("database"))
	if err != nil {
		return addon, err
	}
	service, ok := a.Catalog.Service(addon.Service)
	if !ok || service.Provider != provider {
		return addon, platform.Missing("add_on")
	}
	return addon, nil
}

// urlOf is the URL that a credential gives to apps.
func urlOf(cred controller.Credential) string { return cred.Config["URL"] }

// endpoint is a credential's URL in parts.
type endpoint struct {
	host, user, password, database string
	port                           int
}

func endpointOf(cred controller.Credential) (endpoint, error) {
	u, err := url.Parse(urlOf(cred))
	if err != nil {
		return endpoint{}, errors.New("the URL of a credential is malformed") // the cause would hold the secret
	}
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		return endpoint{}, errors.New("the URL of a credential has no port")
	}
	password, _ := u.User.Password()
	return endpoint{u.Hostname(), u.User.Username(), password, strings.TrimPrefix(u.Path, "/"), port}, nil
}

// waitStatus is what clients poll while an add-on is provisioned.
type waitStatus struct {
	Message string `json:"message"`
	Waiting bool   `json:"waiting?"`
	Error   bool   `json:"error?"`
}

func statusFor(addon platform.Addon) waitStatus {
	switch addon.State {
	case platform.AddonProvisioned:
		return waitStatus{Message: "available"}
	case platform.AddonProvisioning:
		return waitStatus{Message: "preparing", Waiting: true}
	case platform.AddonDeprovisioned:
		return waitStatus{Message: "Provisioning failed: " + addon.ProvisionMessage, Waiting: true, Error: true}
	}
	return waitStatus{Message: addon.State, Waiting: true, Error: true}
}

type settingJSON struct {
	Value   any               `json:"value"`
	Default any               `json:"default"`
	Desc    string            `json:"desc"`
	Values  map[string]string `json:"values"`
}

// encodeSettings gives numbers and booleans as such: clients compare them.
func encodeSettings(all []addons.Setting) map[string]settingJSON {
	out := map[string]settingJSON{}
	for _, s := range all {
		values := s.Values
		if values == nil {
			values = map[string]string{}
		}
		out[s.Name] = settingJSON{plain(s.Value), plain(s.Default), s.Desc, values}
	}
	return out
}

func plain(text string) any {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return n
	}
	if text == "true" || text == "false" {
		return text == "true"
	}
	return text
}

func (a *API) settings(provider string) func(*call) (any, error) {
	return func(c *call) (any, error) {
		addon, err := a.dataAddon(c, provider)
		if err != nil {
			return nil, err
		}
		all, err := a.Controller.Settings(c.ctx, addon.ID)
		return encodeSettings(all), err
	}
}

func (a *API) configure(provider string) func(*call) (any, error) {
	return func(c *call) (any, error) {
		var in map[string]scalar
		if err := c.decode(&in); err != nil {
			return nil, err
		}
		addon, err := a.dataAddon(c, provider)
		if err != nil {
			return nil, err
		}
		var all []addons.Setting
		for name, value := range in {
			if all, err = a.Controller.Configure(c.ctx, addon.ID, name, string(value)); err != nil {
				return nil, err
			}
		}
		if len(in) == 0 {
			all, err = a.Controller.Settings(c.ctx, addon.ID)
		}
		return encodeSettings(all), err
	}
}

// rotate replaces the secrets of one credential of the address, or of all.
func (a *API) rotate(provider string) func(*call) (any, error) {
	return func(c *call) (any, error) {
		// Old secrets stop working at once, so that to force it is nothing more.
		var in struct {
			Forced *bool `json:"forced"`
			Force  *bool `json:"force"`
		}
		if err := c.decode(&in); err != nil {
			return nil, err
		}
		addon, err := a.dataAddon(c, provider)
		if err != nil {
			return nil, err
		}
		if name := c.param("credential"); name != "" {
			return nil, a.Controller.RotateCredentials(c.ctx, addon.ID, name)
		}
		all, err := a.Controller.Credentials(c.ctx, addon.ID)
		if err != nil {
			return nil, err
		}
		var names []string
		for _, cred := range all {
			names = append(names, cred.Name)
		}
		return nil, a.Controller.RotateCredentials(c.ctx, addon.ID, names...)
	}
}

// act does something to an add-on that there is nothing to say about after.
func (a *API) act(provider string, verb func(c *call, id string) error) func(*call) (any, error) {
	return func(c *call) (any, error) {
		addon, err := a.dataAddon(c, provider)
		if err != nil {
			return nil, err
		}
		return nil, verb(c, addon.ID)
	}
}

func (a *API) resetStats(c *call, id string) error { return a.Controller.ResetStats(c.ctx, id) }
func (a *API) reset(c *call, id string) error      { return a.Controller.ResetAddon(c.ctx, id) }
func (a *API) disconnect(c *call, id string) error { return a.Controller.Disconnect(c.ctx, id) }

// lacks refuses what only Heroku can do, in words that say what to do.
func (a *API) lacks(provider, format string, args ...any) func(*call) (any, error) {
	return a.act(provider, func(*call, string) error { return platform.Invalid(format, args...) })
}
