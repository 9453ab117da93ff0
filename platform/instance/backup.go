package instance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"niwa/addons"
	"niwa/platform"
	"niwa/platform/api"
	"niwa/platform/backup"
	"niwa/platform/build/image"
	"niwa/platform/docker"
	"niwa/platform/git"
	"niwa/platform/pki"
)

// platform is what of the parts a backup is made of, and made into.
func (i *Instance) platform(p parts) backup.Platform {
	return backup.Platform{
		Dir: i.cfg.Data, Niwa: i.cfg.Version, Store: p.state, Logs: p.logs,
		Repos: git.New(git.Config{Dir: filepath.Join(i.cfg.Data, "repos"), Log: i.cfg.Log}),
		Served: func(addon platform.Addon) (addons.Provider, addons.Plan, error) {
			plan, service, ok := p.market.Plan(addon.Plan)
			provider := p.providers[service.Provider]
			if !ok || provider == nil {
				return nil, addons.Plan{}, fmt.Errorf("nothing here provides %s", addon.Plan)
			}
			return provider, plan.Limits(), nil
		},
		SaveImages: func(ctx context.Context, slugs []string, w io.Writer) error {
			return i.withImages(ctx, func(b *image.Builder) error { return b.Save(ctx, slugs, w) })
		},
		LoadImages: func(ctx context.Context, r io.Reader) error {
			return i.withImages(ctx, func(b *image.Builder) error { return b.Load(ctx, r) })
		},
	}
}

// withImages calls f with what makes images, in the engine that has them.
func (i *Instance) withImages(ctx context.Context, f func(*image.Builder) error) error {
	engine, err := docker.Connect(ctx, i.home.id)
	if err != nil {
		return fmt.Errorf("apps of the container stack are images: %w", err)
	}
	return errors.Join(f(image.New(engine)), engine.Close())
}

// backup writes an archive while the platform runs.
func (i *Instance) backup(ctx context.Context, p parts, w io.Writer) error {
	defer i.controller.Hold()()
	err := i.platform(p).Save(ctx, w)
	if err != nil && ctx.Err() == nil {
		i.cfg.Log.Error("backup", "error", err)
	}
	return err
}

// Manifest says what an archive is.
type Manifest = backup.Manifest

// Backup writes an archive of the platform on cfg.Data: of the one that runs
// there, as it says of itself, or of one that does not when running is nil.
// The archive is read as it is written, to know that it is one.
func Backup(ctx context.Context, cfg Config, running *Record, out io.Writer) (Manifest, error) {
	r, w := io.Pipe()
	written := make(chan error, 1)
	go func() {
		var err error
		if to := io.MultiWriter(out, w); running == nil {
			err = save(ctx, cfg, to)
		} else {
			err = fetch(ctx, cfg.Data, *running, to)
		}
		written <- err
		w.CloseWithError(err)
	}()
	m, err := backup.Read(r, nil)
	r.CloseWithError(err)
	if failed := <-written; failed != nil {
		err = failed // which is why the archive is none
	}
	return m, err
}

// fetch has the platform that runs write the archive.
func fetch(ctx context.Context, data string, r Record, w io.Writer) error {
	key, err := os.ReadFile(filepath.Join(data, "key"))
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("the key in %s belongs to another user; run this as the user who runs niwa", data)
	}
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, api.BackupURL(r.API, key), nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("niwa (pid %d) runs on %s, but its API does not answer: %w", r.PID, data, errors.Unwrap(err)) // whose URL is a secret
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("niwa (pid %d) answers the request for a backup with %s; is it older than this one?", r.PID, resp.Status)
	}
	_, err = io.Copy(w, resp.Body)
	return err
}

// save writes an archive of a platform that does not run. Its data services
// are started for it, and stopped again; what a niwa that was killed has left
// running ends.
func save(ctx context.Context, cfg Config, w io.Writer) (err error) {
	if _, err := os.Stat(filepath.Join(cfg.Data, "niwa.db")); err != nil {
		return fmt.Errorf("there is no platform on %s; name another directory with --data (%w)", cfg.Data, err)
	}
	i := &Instance{cfg: cfg}
	defer func() { err = errors.Join(err, i.close(ctx)) }()
	if i.home, err = openHome(cfg.Data); err != nil {
		return err
	}
	i.onStop(func(context.Context) error { return i.home.close() })
	p, err := i.still(ctx)
	if err != nil {
		return err
	}
	return i.platform(p).Save(ctx, w)
}

// still opens everything but what serves and what runs dynos.
func (i *Instance) still(ctx context.Context) (parts, error) {
	ca, err := pki.Open(filepath.Join(i.cfg.Data, "ca"))
	if err != nil {
		return parts{}, err
	}
	p, err := i.open(ctx, ca)
	if err != nil {
		return p, err
	}
	p.providers, err = i.providers(ctx, p.procs, ca)
	return p, err
}

// close is Shutdown also when ctx has ended.
func (i *Instance) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	return i.Shutdown(ctx)
}
