package api

import (
	"strings"

	"niwa/addons"
)

const redisProvider = "redis"

type redisJSON struct {
	AddonID         string       `json:"addon_id"`
	Name            string       `json:"name"`
	Plan            string       `json:"plan"`
	Version         string       `json:"version,omitempty"`
	ResourceURL     string       `json:"resource_url"`
	Port            int          `json:"port"`
	PreferNativeTLS bool         `json:"prefer_native_tls"`
	MetaasSource    string       `json:"metaas_source"`
	Formation       formationRef `json:"formation"`
	Info            []addons.Row `json:"info"`
	CreatedAt       string       `json:"created_at"`
}

type formationRef struct {
	ID      string  `json:"id"`
	Primary *string `json:"primary"`
}

func (a *API) redisInfo(c *call) (any, error) {
	addon, err := a.dataAddon(c, redisProvider)
	if err != nil {
		return nil, err
	}
	info, err := a.Controller.AddonInfo(c.ctx, addon.ID)
	if err != nil {
		return nil, err
	}
	cred, err := a.Controller.Credential(c.ctx, addon.ID, addons.Default)
	if err != nil {
		return nil, err
	}
	at, err := endpointOf(cred)
	if err != nil {
		return nil, err
	}
	_, plan, _ := strings.Cut(addon.Plan, ":")
	out := redisJSON{
		AddonID: addon.ID, Name: addon.Name, Plan: plan, ResourceURL: urlOf(cred), Port: at.port,
		PreferNativeTLS: strings.HasPrefix(urlOf(cred), "rediss:"), MetaasSource: addon.Name,
		Formation: formationRef{ID: addon.ID}, Info: info, CreatedAt: stamp(addon.CreatedAt),
	}
	for _, row := range info {
		if row.Name == "Version" && len(row.Values) > 0 {
			out.Version = row.Values[0]
		}
	}
	return out, nil
}

func (a *API) redisWait(c *call) (any, error) {
	addon, err := a.dataAddon(c, redisProvider)
	if err != nil {
		return nil, err
	}
	return statusFor(addon), nil
}
