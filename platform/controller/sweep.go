package controller

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"niwa/platform"
	"niwa/platform/store"
)

func (c *Controller) slugPath(id string) string {
	return filepath.Join(c.Dir, "slugs", id+".tgz")
}

// sweep removes what is on disk and in the engine for apps, slugs and builds
// that no longer exist: a destroyed app's, what has become old, and what a
// crash left half made.
func (c *Controller) sweep(ctx context.Context) error {
	defer c.locks.lock("sweep")()
	if err := c.expire(ctx, now()); err != nil {
		return err
	}
	found := map[string][]string{}
	for _, dir := range []string{"repos", "cache", "logs", "slugs", "output"} {
		entries, err := os.ReadDir(filepath.Join(c.Dir, dir))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		for _, e := range entries {
			found[dir] = append(found[dir], e.Name())
		}
	}
	// What is known is read after what is there, so that nothing made in
	// between is taken for an orphan.
	known, err := c.known(ctx)
	if err != nil {
		return err
	}
	ids := map[string]map[string]bool{"repos": known.apps, "cache": known.apps, "logs": known.apps, "slugs": known.slugs, "output": known.outputs}
	for dir, names := range found {
		for _, name := range names {
			id, _, _ := strings.Cut(strings.TrimPrefix(name, "."), ".") // .ID.tgz123 is a slug that is being written
			if ids[dir][id] || len(id) != len(newID()) {
				continue
			}
			if dir == "logs" {
				err = errors.Join(err, c.Logs.Delete(id))
			}
			err = errors.Join(err, os.RemoveAll(filepath.Join(c.Dir, dir, name)))
		}
	}
	return errors.Join(err, c.Builder.SweepImages(ctx, func() (apps, builds map[string]bool, err error) {
		known, err := c.known(ctx)
		return known.apps, known.slugs, err
	}))
}

// known are the ids of everything that may have files or images.
type known struct {
	apps    map[string]bool
	slugs   map[string]bool // a slug has the id of its build, whose row is there before it
	outputs map[string]bool // of builds and releases that are not old
}

func (c *Controller) known(ctx context.Context) (known, error) {
	k, at := known{map[string]bool{}, map[string]bool{}, map[string]bool{}}, now()
	err := c.Store.View(ctx, func(tx *store.Tx) error {
		apps, err := tx.Apps()
		if err != nil {
			return err
		}
		slugs, err := tx.Slugs()
		if err != nil {
			return err
		}
		for _, s := range slugs {
			k.slugs[s.ID] = true
		}
		for _, app := range apps {
			k.apps[app.ID] = true
			releases, err1 := tx.Releases(app.ID)
			builds, err2 := tx.Builds(app.ID)
			if err := errors.Join(err1, err2); err != nil {
				return err
			}
			for i, r := range releases {
				k.outputs[r.ID] = isKept(i, len(releases), r.CreatedAt, at)
			}
			for i, b := range builds {
				k.outputs[b.ID] = isKept(i, len(builds), b.CreatedAt, at)
				if b.Status == platform.Pending {
					k.slugs[b.ID] = true
				}
			}
		}
		return nil
	})
	return k, err
}
