package controller

import (
	"errors"
	"io/fs"
	"os"

	"github.com/google/uuid"

	"niwa/platform"
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
