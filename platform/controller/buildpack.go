package controller

import (
	"context"
	"strings"

	"niwa/platform"
	"niwa/platform/store"
)

// maxBuildpacks is how many an app may have.
const maxBuildpacks = 20

// BuildpackInstallations lists an app's buildpacks in the order they run.
func (c *Controller) BuildpackInstallations(ctx context.Context, nameOrID string) (all []platform.BuildpackInstallation, err error) {
	err = c.Store.View(ctx, func(tx *store.Tx) error {
		app, err := tx.App(nameOrID)
		if err != nil {
			return err
		}
		all, err = tx.BuildpackInstallations(app.ID)
		return err
	})
	return all, err
}

// SetBuildpacks replaces an app's buildpacks; the next build uses them.
func (c *Controller) SetBuildpacks(ctx context.Context, nameOrID string, urls []string) ([]platform.BuildpackInstallation, error) {
	if len(urls) > maxBuildpacks {
		return nil, platform.Invalid("An app can have %d buildpacks, not %d.", maxBuildpacks, len(urls))
	}
	all := []platform.BuildpackInstallation{}
	for i, url := range urls {
		if url == "" || len(url) > 2000 || strings.ContainsAny(url, " \t\r\n\x00") {
			return nil, platform.Invalid("Buildpack %d is not a name or a URL.", i+1)
		}
		all = append(all, platform.BuildpackInstallation{Ordinal: i, URL: url, Name: buildpackName(url)})
	}
	return all, c.Store.Update(ctx, func(tx *store.Tx) error {
		app, err := tx.App(nameOrID)
		if err != nil {
			return err
		}
		for i := range all {
			all[i].AppID = app.ID
		}
		return tx.ReplaceBuildpackInstallations(app.ID, all)
	})
}

// Where Heroku's registry keeps buildpacks: the client turns heroku/go into
// such a URL and shows it as heroku/go again.
const registryPrefix = "https://buildpack-registry.s3.amazonaws.com/buildpacks/"

func buildpackName(url string) string {
	if name, ok := strings.CutPrefix(url, registryPrefix); ok {
		return strings.TrimSuffix(name, ".tgz")
	}
	return strings.TrimPrefix(url, "urn:buildpack:")
}
