package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"sync"

	"niwa/addons"
	"niwa/platform"
	"niwa/platform/store"
)

// Where things are in an archive: files have the names that they have in the
// data directory.
const (
	database     = "niwa.db"
	repositories = "repos"
	bundleSuffix = ".bundle"
	resources    = "addons"
	images       = "images"
)

// secrets are the files without which a platform is not itself.
func secrets() []string { return []string{"key", "token", "id", "ca/ca.pem", "ca/ca-key.pem"} }

// Unpack makes a platform in dir, which is empty, from an archive. When the
// files are there it calls open for the platform that they make, to which the
// repositories and the add-ons are then given. When it returns an error what
// is in dir is of no use.
func Unpack(ctx context.Context, archive io.Reader, dir string, open func() (Platform, error)) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	begin := sync.OnceValues(func() (Platform, error) {
		for _, name := range append(secrets(), database) {
			if _, err := root.Stat(name); err != nil {
				return Platform{}, fmt.Errorf("the archive lacks %s", name)
			}
		}
		return open()
	})
	_, err = Read(archive, func(name string, content io.Reader) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if isFile(name) {
			return place(root, name, content)
		}
		made, err := begin()
		if err != nil {
			return err
		}
		return made.take(ctx, name, content)
	})
	if err == nil {
		_, err = begin()
	}
	return err
}

// isFile says whether an entry is a file of the data directory.
func isFile(name string) bool {
	dir, file := path.Split(name)
	switch {
	case dir == "" || dir == "ca/":
		return name == database || slices.Contains(secrets(), name)
	case dir == "slugs/" || dir == "output/":
		return file != ""
	}
	return strings.HasPrefix(dir, "logs/") && strings.Count(name, "/") == 2
}

// place writes a file of the data directory. Clients read the certificate of
// the authority; everything else is niwa's alone.
func place(root *os.Root, name string, content io.Reader) error {
	mode, folder := fs.FileMode(0o600), fs.FileMode(0o700)
	if path.Dir(name) == "ca" {
		folder = 0o755
	}
	if name == "ca/ca.pem" {
		mode = 0o644
	}
	if err := root.MkdirAll(path.Dir(name), folder); err != nil {
		return err
	}
	file, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, content)
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

// take takes a repository, what an add-on held, or images.
func (p Platform) take(ctx context.Context, name string, content io.Reader) error {
	dir, file := path.Split(name)
	appID, isRepo := strings.CutSuffix(file, bundleSuffix)
	switch {
	case name == images:
		return p.LoadImages(ctx, content)
	case dir == repositories+"/" && isRepo:
		return p.Repos.Unbundle(ctx, appID, content)
	case dir == resources+"/":
		return p.restoreAddon(ctx, file, content)
	}
	return fmt.Errorf("the archive has the entry %q, which niwa backup does not write there", name)
}

// restoreAddon has an add-on's provider make it what it was. What the
// provider then says of it is the truth: a credential may have been rotated
// between the state and what the add-on held, and it may listen elsewhere now.
func (p Platform) restoreAddon(ctx context.Context, id string, content io.Reader) error {
	var addon platform.Addon
	err := p.Store.View(ctx, func(tx *store.Tx) (err error) {
		addon, err = tx.Addon(id)
		return err
	})
	if err != nil {
		return err
	}
	provider, plan, err := p.Served(addon)
	if err != nil {
		return err
	}
	restorer, ok := provider.(addons.Restorer)
	if !ok {
		return fmt.Errorf("add-on %s: its provider here cannot restore what the archive holds of it", addon.Name)
	}
	if err := restorer.Restore(ctx, addon.ID, content); err != nil {
		return fmt.Errorf("add-on %s: %w", addon.Name, err)
	}
	resource, err := provider.Provision(ctx, addons.Request{ID: addon.ID, Name: addon.Name, Plan: plan})
	if err != nil {
		return fmt.Errorf("add-on %s: %w", addon.Name, err)
	}
	all := map[string]map[string]string{addons.Default: resource.Config}
	if lister, ok := provider.(addons.CredentialLister); ok {
		if all, err = lister.Credentials(ctx, addon.ID); err != nil {
			return fmt.Errorf("add-on %s: %w", addon.Name, err)
		}
	}
	return p.Store.Update(ctx, func(tx *store.Tx) error {
		addon.Engine = resource.Engine
		for name, config := range all {
			if err := tx.PutCredential(addon.ID, name, config); err != nil {
				return err
			}
		}
		return tx.SaveAddon(addon)
	})
}
