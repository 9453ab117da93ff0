package api

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"strings"

	"niwa/addons"
	"niwa/platform"
)

type configJSON struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// addonConfig lists what a credential of an add-on brings, named without an
// attachment's prefix. The official CLI asks it, with credential:NAME, whether
// there is such a credential; the answer for one that is not there is empty.
func (a *API) addonConfig(c *call) (any, error) {
	namespace := cmp.Or(c.param("namespace"), "credential:"+addons.Default)
	name, ok := strings.CutPrefix(namespace, "credential:")
	if !ok {
		return nil, platform.Missing("namespace")
	}
	addon, err := a.Controller.Addon(c.ctx, c.param("addon"))
	if err != nil {
		return nil, err
	}
	all := []configJSON{}
	cred, err := a.Controller.Credential(c.ctx, addon.ID, name)
	var missing *platform.Error
	if errors.As(err, &missing) && missing.ID == platform.NotFound {
		return all, nil
	}
	for _, key := range slices.Sorted(maps.Keys(cred.Config)) {
		all = append(all, configJSON{key, cred.Config[key]})
	}
	return all, err
}
