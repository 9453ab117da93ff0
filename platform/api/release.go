package api

import (
	"strconv"

	"niwa/platform"
)

func (a *API) releaseList(c *call) (any, error) {
	app, err := a.Controller.App(c.ctx, c.param("app"))
	if err != nil {
		return nil, err
	}
	releases, err := a.Controller.Releases(c.ctx, app.ID)
	if err != nil {
		return nil, err
	}
	return paged(c, releases, c.encodeRelease,
		key[platform.Release]{"version", func(r platform.Release) string { return strconv.Itoa(r.Version) }},
		key[platform.Release]{"id", func(r platform.Release) string { return r.ID }})
}

func (a *API) releaseInfo(c *call) (any, error) {
	r, err := a.Controller.Release(c.ctx, c.param("app"), c.param("release"))
	if err != nil {
		return nil, err
	}
	return c.encodeRelease(r)
}

// releaseCreate goes back to an earlier release, or releases a slug again.
func (a *API) releaseCreate(c *call) (any, error) {
	var in struct {
		Release     identity `json:"release"`
		Slug        identity `json:"slug"`
		OCIImage    identity `json:"oci_image"`
		Description string   `json:"description"`
	}
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	if err := tooLong("description", in.Description, maxText); err != nil {
		return nil, err
	}
	var r platform.Release
	var err error
	switch app := c.param("app"); {
	case in.OCIImage != "":
		return nil, platform.Invalid("Releases of container images are not available; this niwa releases slugs.")
	case in.Release != "" && in.Slug != "":
		return nil, platform.Invalid("Give either release, to roll back, or slug.")
	case in.Release != "":
		r, err = a.Controller.Rollback(c.ctx, app, string(in.Release))
	case in.Slug != "":
		r, err = a.Controller.ReleaseSlug(c.ctx, app, string(in.Slug), in.Description)
	default:
		return nil, required("slug")
	}
	if err != nil {
		return nil, err
	}
	return c.encodeRelease(r)
}
