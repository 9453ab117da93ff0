package api

import (
	"niwa/platform"
	"niwa/platform/controller"
)

func (a *API) buildList(c *call) (any, error) {
	builds, err := a.Controller.Builds(c.ctx, c.param("app"))
	if err != nil {
		return nil, err
	}
	created := func(b platform.Build) string { return sortable(b.CreatedAt) }
	return paged(c, builds, c.encodeBuild,
		key[platform.Build]{"created_at", created},
		key[platform.Build]{"started_at", created},
		key[platform.Build]{"id", func(b platform.Build) string { return b.ID }})
}

func (a *API) buildInfo(c *call) (any, error) {
	b, err := a.Controller.Build(c.ctx, c.param("app"), c.param("build"))
	if err != nil {
		return nil, err
	}
	return c.encodeBuild(b)
}

func (a *API) buildCreate(c *call) (any, error) {
	var in struct {
		SourceBlob struct {
			URL                string  `json:"url"`
			Version            *string `json:"version"`
			VersionDescription *string `json:"version_description"`
			Checksum           *string `json:"checksum"`
		} `json:"source_blob"`
		Buildpacks []struct {
			URL  string `json:"url"`
			Name string `json:"name"`
		} `json:"buildpacks"`
	}
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	blob := in.SourceBlob
	if blob.URL == "" {
		return nil, required("source_blob.url")
	}
	req := controller.BuildRequest{SourceURL: blob.URL}
	if blob.Version != nil {
		req.Version = *blob.Version
	}
	if blob.Checksum != nil {
		req.Checksum = *blob.Checksum
	}
	for field, value := range map[string]string{
		"source_blob.url": req.SourceURL, "source_blob.version": req.Version, "source_blob.checksum": req.Checksum,
	} {
		if err := tooLong(field, value, 4*maxText); err != nil {
			return nil, err
		}
	}
	for _, b := range in.Buildpacks {
		if b.URL == "" && b.Name == "" {
			return nil, required("buildpacks.url")
		}
		req.Buildpacks = append(req.Buildpacks, buildpackRef(b.URL, b.Name))
	}
	b, err := a.Controller.CreateBuild(c.ctx, c.param("app"), req)
	if err != nil {
		return nil, err
	}
	return c.encodeBuild(b)
}

// cacheDelete empties an app's build cache.
func (a *API) cacheDelete(c *call) (any, error) {
	return nil, a.Controller.PurgeCache(c.ctx, c.param("app"))
}

func (a *API) slugInfo(c *call) (any, error) {
	s, err := a.Controller.Slug(c.ctx, c.param("app"), c.param("slug"))
	if err != nil {
		return nil, err
	}
	return c.encodeSlug(s)
}
