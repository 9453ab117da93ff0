package api

import (
	"strings"

	"niwa/platform"
)

// Where Heroku's registry keeps its tarballs. Clients turn heroku/go into such
// a URL when it is set, and back when it is shown.
const registryURL = "https://buildpack-registry.s3.amazonaws.com/buildpacks/"

type buildpackJSON struct {
	URL  string `json:"url"`
	Name string `json:"name"`
}

// buildpackOf reads a buildpack as a build keeps it: a name or a URL.
func buildpackOf(text string) buildpackJSON {
	name, named := strings.CutPrefix(text, registryURL)
	if named {
		return buildpackJSON{text, strings.TrimSuffix(name, ".tgz")}
	}
	if strings.Contains(text, "://") {
		return buildpackJSON{text, text}
	}
	name = strings.TrimPrefix(text, "urn:buildpack:")
	return buildpackJSON{registryURL + name + ".tgz", name}
}

// buildpackRef is what a build is asked to use.
func buildpackRef(url, name string) string {
	if url != "" {
		return url
	}
	return name
}

type installationJSON struct {
	Ordinal   int           `json:"ordinal"`
	Buildpack buildpackJSON `json:"buildpack"`
}

func encodeInstallation(b platform.BuildpackInstallation) (any, error) {
	return installationJSON{b.Ordinal, buildpackJSON{b.URL, b.Name}}, nil
}

func (a *API) installationList(c *call) (any, error) {
	all, err := a.Controller.BuildpackInstallations(c.ctx, c.param("app"))
	if err != nil {
		return nil, err
	}
	return encodeAll(all, encodeInstallation)
}

func (a *API) installationUpdate(c *call) (any, error) {
	var in struct {
		Updates []struct {
			Buildpack string `json:"buildpack"`
		} `json:"updates"`
	}
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	if in.Updates == nil {
		return nil, required("updates")
	}
	urls := []string{}
	for _, u := range in.Updates {
		urls = append(urls, u.Buildpack)
	}
	all, err := a.Controller.SetBuildpacks(c.ctx, c.param("app"), urls)
	if err != nil {
		return nil, err
	}
	return encodeAll(all, encodeInstallation)
}
