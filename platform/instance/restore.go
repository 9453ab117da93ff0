package instance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/gofrs/flock"
	"github.com/google/uuid"

	"niwa/platform/backup"
	"niwa/platform/docker"
	"niwa/platform/proc"
)

// Restored says what came of a restore.
type Restored struct {
	Manifest
	Aside string // where the data directory lies that was there before; empty when none was
}

// Restore makes cfg.Data the platform of an archive: whole, or as it was
// before. What was there is kept aside, and only replaced when replace is
// set. The archive is read to its end before anything is written, then
// unpacked beside cfg.Data, with the data services at work, and moved into its
// place last.
func Restore(ctx context.Context, cfg Config, archive io.ReadSeeker, replace bool) (r Restored, err error) {
	if r.Manifest, err = backup.Read(archive, nil); err != nil {
		return r, err
	}
	if _, err := archive.Seek(0, io.SeekStart); err != nil {
		return r, err
	}
	there, err := claim(cfg.Data)
	if err != nil {
		return r, err
	}
	done := false
	defer func() { err = errors.Join(err, there.close(done)) }()
	if !there.empty && !replace {
		return r, fmt.Errorf("%s holds a platform already; name another directory with --data, or replace it with --force, which keeps it aside", cfg.Data)
	}
	stage, err := claim(cfg.Data + ".restoring")
	if err != nil {
		return r, err
	}
	stage.made = true // nobody else wants it
	defer func() { err = errors.Join(err, stage.close(done)) }()
	if err := stage.clear(ctx); err != nil {
		return r, fmt.Errorf("what a restore that was cut off left in %s: %w", stage.dir, err)
	}
	if err := unpack(ctx, cfg, stage, archive); err != nil {
		return r, spaceless(err)
	}
	r.Aside, err = there.replace(ctx, stage.dir)
	done = err == nil
	return r, err
}

// stagedID is the id of a platform while it is restored: what an engine makes
// for it then is not to be mistaken for what the platform itself has there.
func stagedID(id string) string {
	return uuid.NewSHA1(uuid.NameSpaceURL, []byte("niwa restore "+id)).String()
}

// unpack makes the platform of an archive in a directory of its own.
func unpack(ctx context.Context, cfg Config, stage *claimed, archive io.Reader) error {
	i := &Instance{cfg: cfg, home: &home{dir: stage.dir}}
	i.cfg.Data = stage.dir
	err := backup.Unpack(ctx, archive, stage.dir, func() (backup.Platform, error) {
		if err := i.home.secrets(); err != nil {
			return backup.Platform{}, err
		}
		i.home.id = stagedID(i.home.id)
		p, err := i.still(ctx)
		return i.platform(p), err
	})
	return errors.Join(err, i.close(ctx))
}

// claimed is a data directory that no niwa can start on meanwhile.
type claimed struct {
	dir   string
	lock  *flock.Flock
	made  bool // there was none
	empty bool
}

func claim(dir string) (*claimed, error) {
	_, err := os.Lstat(dir)
	c := &claimed{dir: dir, made: errors.Is(err, fs.ErrNotExist)}
	if err := os.MkdirAll(dir, 0o711); err != nil {
		return nil, spaceless(err)
	}
	if err := movable(dir); err != nil {
		return nil, err
	}
	c.lock = flock.New(filepath.Join(dir, lockFile), flock.SetPermissions(0o600))
	locked, err := patientLock(c.lock)
	if err != nil {
		return nil, spaceless(fmt.Errorf("data directory %s: %w", dir, err))
	}
	if !locked {
		return nil, fmt.Errorf("another niwa%s is at work on %s; stop it first", pidOf(dir), dir)
	}
	entries, err := os.ReadDir(dir)
	c.empty = len(entries) == 1 // the lock
	return c, err
}

// movable says what keeps a directory from being moved.
func movable(dir string) error {
	var own, above syscall.Stat_t
	if err := errors.Join(syscall.Stat(dir, &own), syscall.Stat(filepath.Dir(dir), &above)); err != nil {
		return err
	}
	if own.Dev != above.Dev {
		return fmt.Errorf("%s is a mount point, which cannot be replaced as a whole; name a directory below it with --data", dir)
	}
	return nil
}

// close lets go of the directory. Unless it was of use, one that was made for
// it goes.
func (c *claimed) close(used bool) error {
	var err error
	if c.made && !used {
		err = os.RemoveAll(c.dir)
	}
	return errors.Join(err, c.lock.Unlock())
}

// clear empties the directory of a restore that was cut off.
func (c *claimed) clear(ctx context.Context) error {
	if c.empty {
		return nil
	}
	if err := c.quiet(ctx, stagedID); err != nil {
		return err
	}
	entries, err := os.ReadDir(c.dir)
	for _, e := range entries {
		if e.Name() != lockFile {
			err = errors.Join(err, os.RemoveAll(filepath.Join(c.dir, e.Name())))
		}
	}
	return err
}

// quiet ends what a niwa that was killed has left running: processes, and
// containers that its id, or what was made of that, is on.
func (c *claimed) quiet(ctx context.Context, known func(id string) string) error {
	procs, err := proc.Open(filepath.Join(c.dir, "procs"))
	if err != nil {
		return err
	}
	if err := procs.Close(ctx); err != nil {
		return err
	}
	id, err := os.ReadFile(filepath.Join(c.dir, "id"))
	if err != nil || uuid.Validate(strings.TrimSpace(string(id))) != nil {
		return nil // it has never got as far as to make containers
	}
	e, err := docker.Connect(ctx, known(strings.TrimSpace(string(id))))
	if err != nil {
		return nil // nor here
	}
	defer e.Close()
	all, err := e.ContainerList(ctx, container.ListOptions{All: true, Filters: e.Mine()})
	for _, found := range all {
		err = errors.Join(err, e.ContainerRemove(ctx, found.ID, container.RemoveOptions{Force: true, RemoveVolumes: true}))
	}
	return err
}

// replace puts another directory in this one's place, and says where what was
// in it is now.
func (c *claimed) replace(ctx context.Context, by string) (aside string, err error) {
	if c.empty {
		if err := os.Remove(c.lock.Path()); err != nil {
			return "", err
		}
		// A directory may be renamed onto an empty one, though os.Rename
		// thinks otherwise.
		return "", syscall.Rename(by, c.dir)
	}
	same := func(id string) string { return id }
	if err := c.quiet(ctx, same); err != nil {
		return "", err
	}
	aside = c.dir + time.Now().UTC().Format(".before-restore-20060102-150405")
	if _, err := os.Lstat(aside); !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%s is there already; try again in a second", aside)
	}
	if err := os.Rename(c.dir, aside); err != nil {
		return "", err
	}
	if err := os.Rename(by, c.dir); err != nil {
		return "", errors.Join(err, os.Rename(aside, c.dir))
	}
	return aside, nil
}
