package controller

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"slices"

	"github.com/google/uuid"

	"niwa/platform"
	"niwa/platform/dyno"
)

// OpenSlug opens the tarball of a slug. The caller closes it.
func (c *Controller) OpenSlug(id string) (*os.File, error) {
	if uuid.Validate(id) != nil {
		return nil, platform.Missing("slug")
	}
	file, err := os.Open(c.slugPath(id))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, platform.Missing("slug")
	}
	return file, err
}

// furnish says what a dyno is made of and what it runs: a slug's tarball and
// the dyno's command or, on the container stack, an image, which runs its own
// CMD where that is what its process type shows as its command.
func (c *Controller) furnish(spec *dyno.Spec, slug platform.Slug, d platform.Dyno) {
	spec.Command = d.Command
	if len(slug.Images) == 0 {
		spec.Slug = c.slugPath(slug.ID)
		return
	}
	image, ok := slug.Images[d.Type]
	if !ok {
		spec.Image = anyImage(slug).ID
		return
	}
	spec.Image = image.ID
	if d.Command == slug.ProcessTypes[d.Type] {
		spec.Command = image.Command
	}
}

// anyImage is what a one-off dyno of no process type runs in.
func anyImage(slug platform.Slug) platform.Image {
	if web, ok := slug.Images["web"]; ok {
		return web
	}
	return slug.Images[slices.Sorted(maps.Keys(slug.Images))[0]]
}
