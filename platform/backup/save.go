package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"time"

	"niwa/addons"
	"niwa/platform"
	"niwa/platform/git"
	"niwa/platform/logplex"
	"niwa/platform/store"
)

// Platform is what an archive is made of, and made into.
type Platform struct {
	Dir   string // the data directory
	Niwa  string // its version
	Store *store.Store
	Logs  *logplex.Logplex
	Repos *git.Server
	// Served finds who serves an add-on, and the limits of its plan.
	Served func(platform.Addon) (addons.Provider, addons.Plan, error)
	// SaveImages writes the container images that slugs are made of, and
	// LoadImages takes them back.
	SaveImages func(ctx context.Context, slugs []string, w io.Writer) error
	LoadImages func(ctx context.Context, r io.Reader) error
}

// picture is what one state of the platform names.
type picture struct {
	file   []byte // the database
	apps   []platform.App
	slugs  []platform.Slug
	addons []platform.Addon
}

// Save writes an archive. All that was acknowledged before is in it. The
// platform may go on meanwhile, but nothing may be removed: what the state
// names is copied after it.
func (p Platform) Save(ctx context.Context, out io.Writer) error {
	seen, err := p.look(ctx)
	if err != nil {
		return err
	}
	m := Manifest{Format: Format, Niwa: p.Niwa, CreatedAt: time.Now().UTC().Truncate(time.Second)}
	for _, app := range seen.apps {
		m.Apps = append(m.Apps, app.Name)
	}
	for _, addon := range seen.addons {
		m.Addons = append(m.Addons, addon.Name)
	}
	w, err := newWriter(out, m)
	if err != nil {
		return err
	}
	if err := p.save(ctx, w, seen); err != nil {
		return w.fail(err)
	}
	return w.close()
}

func (p Platform) look(ctx context.Context) (seen picture, err error) {
	seen.file, err = p.Store.Snapshot(ctx, func(tx *store.Tx) (err error) {
		if seen.apps, err = tx.Apps(); err != nil {
			return err
		}
		if seen.slugs, err = tx.Slugs(); err != nil {
			return err
		}
		seen.addons, err = tx.Addons()
		return err
	})
	return seen, err
}

func (p Platform) save(ctx context.Context, w *writer, seen picture) error {
	if err := w.put(database, seen.file); err != nil {
		return err
	}
	for _, name := range secrets() {
		if err := p.copyFile(w, name); err != nil {
			return err
		}
	}
	var imaged []string
	for _, slug := range seen.slugs {
		if err := ctx.Err(); err != nil {
			return err
		}
		if len(slug.Images) > 0 {
			imaged = append(imaged, slug.ID)
			continue
		}
		// One that is lost here is lost in the copy too.
		if err := p.copyFile(w, path.Join("slugs", slug.ID+".tgz")); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := p.copyFolder(w, "output"); err != nil {
		return err
	}
	if len(imaged) > 0 {
		if err := w.stream(images, func(w io.Writer) error { return p.SaveImages(ctx, imaged, w) }); err != nil {
			return err
		}
	}
	for _, app := range seen.apps {
		if name, file := p.Logs.Export(app.ID); name != "" {
			if err := w.put(path.Join("logs", app.ID, name), file); err != nil {
				return err
			}
		}
		repo := path.Join(repositories, app.ID+bundleSuffix)
		if err := w.stream(repo, func(w io.Writer) error { return p.Repos.Bundle(ctx, app.ID, w) }); err != nil {
			return fmt.Errorf("the repository of app %s: %w", app.Name, err)
		}
	}
	return p.saveAddons(ctx, w, seen.addons)
}

// saveAddons saves what add-ons hold. Those that are coming or going hold
// nothing that anybody relies on.
func (p Platform) saveAddons(ctx context.Context, w *writer, all []platform.Addon) error {
	for _, addon := range all {
		if addon.State != platform.AddonProvisioned {
			continue
		}
		provider, _, err := p.Served(addon)
		if err != nil {
			return err
		}
		backuper, ok := provider.(addons.Backuper)
		if !ok {
			continue // it keeps nothing of its own
		}
		err = w.stream(path.Join(resources, addon.ID), func(w io.Writer) error { return backuper.Backup(ctx, addon.ID, w) })
		if err != nil {
			return fmt.Errorf("add-on %s: %w", addon.Name, err)
		}
	}
	return nil
}

// copyFile adds a file of the data directory, as long as it is when it is
// opened: one that is being written to is cut there.
func (p Platform) copyFile(w *writer, name string) error {
	file, err := os.Open(filepath.Join(p.Dir, filepath.FromSlash(name)))
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	return w.file(name, info.Size(), file)
}

func (p Platform) copyFolder(w *writer, name string) error {
	entries, err := os.ReadDir(filepath.Join(p.Dir, name))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		if !e.Type().IsRegular() {
			continue
		}
		if err := p.copyFile(w, path.Join(name, e.Name())); err != nil {
			return err
		}
	}
	return nil
}
