package docker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"golang.org/x/sync/errgroup"

	"niwa/platform/docker"
	"niwa/platform/dyno/home"
)

// Sweep implements dyno.Runner: it removes the containers, the folders and the
// networks of dynos that this runner does not know.
func (r *Runner) Sweep(ctx context.Context) error {
	return errors.Join(r.sweepContainers(ctx), r.sweepFolders(), r.sweepNetworks(ctx))
}

// Purge removes what a platform whose dynos are no containers now has left in
// an engine from when they were.
func Purge(ctx context.Context, engine *docker.Engine) error {
	r := newRunner(Config{Engine: engine})
	defer r.cancel()
	return errors.Join(r.sweepContainers(ctx), r.sweepNetworks(ctx))
}

func (r *Runner) sweepContainers(ctx context.Context) error {
	all, err := r.cfg.Engine.ContainerList(ctx, container.ListOptions{All: true, Filters: r.cfg.Engine.Mine(dynoLabel)})
	if err != nil {
		return fmt.Errorf("sweep dynos: %w", err)
	}
	var several errgroup.Group
	several.SetLimit(4)
	for _, c := range all {
		if !r.knows(c.Labels[dynoLabel]) {
			several.Go(func() error { _, err := r.remove(ctx, c.ID); return err })
		}
	}
	return several.Wait()
}

func (r *Runner) knows(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.dynos[id] != nil
}

func (r *Runner) sweepFolders() error {
	entries, err := os.ReadDir(r.cfg.Dir)
	for _, e := range entries {
		if !r.knows(e.Name()) {
			err = errors.Join(err, home.Remove(filepath.Join(r.cfg.Dir, e.Name())))
		}
	}
	return err
}

func (r *Runner) sweepNetworks(ctx context.Context) error {
	all, err := r.cfg.Engine.NetworkList(ctx, network.ListOptions{Filters: r.cfg.Engine.Mine(appLabel)})
	for _, n := range all {
		err = errors.Join(err, r.networks.sweep(ctx, n.Labels[appLabel]))
	}
	return err
}

// remove removes a container, running or not, and says whether there was one.
func (r *Runner) remove(ctx context.Context, name string) (found bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	err = r.cfg.Engine.ContainerRemove(ctx, name, container.RemoveOptions{Force: true, RemoveVolumes: true})
	switch {
	case errdefs.IsNotFound(err):
		return false, nil
	case errdefs.IsConflict(err): // its removal is in progress
		return r.awaitRemoved(ctx, name)
	}
	return err == nil, err
}

func (r *Runner) awaitRemoved(ctx context.Context, name string) (bool, error) {
	for {
		if _, err := r.cfg.Engine.ContainerInspect(ctx, name); errdefs.IsNotFound(err) {
			return true, nil
		} else if err != nil {
			return false, err
		}
		select {
		case <-time.After(firstPause):
		case <-ctx.Done():
			return false, context.Cause(ctx)
		}
	}
}

// settleTime is how long an engine that has come back may take to make a
// container that it was asked for before.
const settleTime = 10 * time.Second

// discard removes the container of a dyno. If the engine does not before ctx
// ends, that is done in the background once it answers again; it may make the
// container only then.
func (r *Runner) discard(ctx context.Context, d *instance) {
	name := containerName(d.spec.ID)
	if _, err := r.remove(ctx, name); err == nil || r.ctx.Err() != nil {
		return
	}
	r.background.Go(func() {
		var answered time.Time
		for pause := firstPause; answered.IsZero() || time.Since(answered) < settleTime; pause = min(2*pause, longestPause) {
			select {
			case <-time.After(pause):
			case <-r.ctx.Done():
				return // Sweep of the next runner finds it
			}
			if r.replaced(d) {
				return // whose start has removed it, and made its own
			}
			found, err := r.remove(r.ctx, name)
			if found {
				return
			}
			if err == nil && answered.IsZero() {
				answered = time.Now()
			}
		}
	})
}

// replaced says whether another dyno of the same id has been started since.
func (r *Runner) replaced(d *instance) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.dynos[d.spec.ID]
	return now != nil && now != d
}
