package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"

	"niwa/platform"
	"niwa/platform/docker"
)

// Containers is the launcher of the engine docker. It asks for the image, and
// pulls it the first time.
func (h *Home) Containers(ctx context.Context) (Launcher, error) {
	unlock, err := h.fetching.Lock(ctx, "")
	if err != nil {
		return nil, err
	}
	defer unlock()
	if h.containers != nil {
		return h.containers, nil
	}
	engine, err := h.connect(ctx)
	if err != nil {
		return nil, err
	}
	found, err := ensure(ctx, engine, h.Image)
	if err != nil {
		return nil, platform.Errorf(platform.Unavailable, "The image %s cannot be had: %v.", h.Image, err)
	}
	// PostgreSQL looks its own name up.
	passwd := fmt.Sprintf("niwa:x:%d:%d::/:/bin/sh\n", h.User.uid, h.User.gid)
	if err := WriteFile(h.passwd(), []byte(passwd), 0o644); err != nil {
		return nil, err
	}
	c := &containers{Home: h, engine: engine, image: found.ID}
	if found.Config != nil {
		c.volumes = slices.Sorted(maps.Keys(found.Config.Volumes))
	}
	h.containers = c
	return c, nil
}

// passwd is there once containers have been used.
func (h *Home) passwd() string { return filepath.Join(h.Dir, "passwd") }

func (h *Home) connect(ctx context.Context) (*docker.Engine, error) {
	if h.Docker == nil {
		return nil, platform.Errorf(platform.Unavailable, "There is no Docker engine: %s.", docker.Fix)
	}
	engine, err := h.Docker(ctx)
	if err != nil {
		return nil, platform.Errorf(platform.Unavailable, "Containers cannot be used: %v.", err)
	}
	return engine, nil
}

// Sweep ends tasks, with this beginning of their ids, that an earlier niwa
// left, or this one has lost sight of.
func (h *Home) Sweep(ctx context.Context, prefix string) error {
	_, err := h.Procs.Sweep(prefix)
	return errors.Join(err, h.sweepContainers(ctx, prefix))
}

func (h *Home) sweepContainers(ctx context.Context, prefix string) error {
	if _, err := os.Stat(h.passwd()); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	engine, err := h.connect(ctx)
	if err != nil {
		return err
	}
	all, err := engine.ContainerList(ctx, container.ListOptions{All: true, Filters: engine.Mine(TaskLabel)})
	if err != nil {
		return err
	}
	var errs []error
	for _, found := range all {
		if strings.HasPrefix(found.Labels[TaskLabel], prefix) {
			errs = append(errs, watch(engine, found.ID).Stop(ctx, stopGrace))
		}
	}
	return errors.Join(errs...)
}

// ensure finds an image, or pulls it.
func ensure(ctx context.Context, engine *docker.Engine, name string) (image.InspectResponse, error) {
	found, err := engine.ImageInspect(ctx, name)
	if !errdefs.IsNotFound(err) {
		return found, err
	}
	if err := pull(ctx, engine, name); err != nil {
		return found, fmt.Errorf("the engine does not have it, and pulling it failed: %w", err)
	}
	return engine.ImageInspect(ctx, name)
}

// pullSilence is how long a registry may say nothing.
const pullSilence = 20 * time.Second

func pull(ctx context.Context, engine *docker.Engine, name string) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silent := time.AfterFunc(pullSilence, func() { cancel(fmt.Errorf("the registry has said nothing for %s", pullSilence)) })
	defer silent.Stop()
	stream, err := engine.ImagePull(ctx, name, image.PullOptions{})
	if err == nil {
		defer stream.Close()
		err = docker.Follow(stream, func(string) { silent.Reset(pullSilence) })
	}
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}
