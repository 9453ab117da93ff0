package image

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	dockerimage "github.com/docker/docker/api/types/image"
)

// Made is something that builds left in the engine.
type Made struct {
	ID    string
	App   string // uuid of the app it was built for
	Build string // uuid of the build that finished it; empty for build cache
}

// List lists what builds of this platform have made: every finished image, and
// the ends of all other chains of layers.
func (b *Builder) List(ctx context.Context) ([]Made, error) {
	return b.list(ctx, b.engine.Mine(appLabel))
}

func (b *Builder) list(ctx context.Context, filter filters.Args) ([]Made, error) {
	found, err := b.engine.ImageList(ctx, dockerimage.ListOptions{Filters: filter})
	if err != nil {
		return nil, fmt.Errorf("docker: listing images: %w", err)
	}
	var all []Made
	for _, i := range found {
		all = append(all, Made{ID: i.ID, App: i.Labels[appLabel], Build: i.Labels[buildLabel]})
	}
	return all, nil
}

// Remove removes images, with the layers that only they stand on. What
// something is still made of stays.
func (b *Builder) Remove(ctx context.Context, all ...Made) error {
	return b.remove(ctx, all, dockerimage.RemoveOptions{Force: true, PruneChildren: true})
}

func (b *Builder) remove(ctx context.Context, all []Made, how dockerimage.RemoveOptions) error {
	var failed error
	for _, made := range all {
		_, err := b.engine.ImageRemove(ctx, made.ID, how)
		if err != nil && !errdefs.IsNotFound(err) && !errdefs.IsConflict(err) {
			failed = errors.Join(failed, fmt.Errorf("docker: removing an image: %w", err))
		}
	}
	return failed
}

// RemoveBuild removes the images of a build, and leaves its layers as cache.
func (b *Builder) RemoveBuild(ctx context.Context, build string) error {
	all, err := b.list(ctx, b.engine.Mine(buildLabel+"="+build))
	if err != nil {
		return err
	}
	return b.remove(ctx, all, dockerimage.RemoveOptions{Force: true})
}

// Trim removes an app's build cache but for the given layers.
func (b *Builder) Trim(ctx context.Context, app string, layers []string) error {
	all, err := b.list(ctx, b.engine.Mine(appLabel+"="+app))
	if err != nil {
		return err
	}
	return b.Remove(ctx, slices.DeleteFunc(all, func(m Made) bool {
		return m.Build != "" || slices.Contains(layers, short(m.ID))
	})...)
}

// short is an id as builds print it.
func short(id string) string {
	_, hex, _ := strings.Cut(id, ":")
	return hex[:min(len(hex), 12)]
}

// Clean removes the containers of builds that died with their engine. No build
// may run.
func (b *Builder) Clean(ctx context.Context) error {
	return b.removeContainers(ctx, b.engine.Mine(appLabel))
}

// endTime bounds the end of a build that was given up.
const endTime = 10 * time.Second

// end sees to it that nothing runs of a build that was given up: the engine
// takes its time to notice.
func (b *Builder) end(ctx context.Context, app string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTime)
	defer cancel()
	return b.removeContainers(ctx, b.engine.Mine(appLabel+"="+app))
}

// removeContainers removes those of builds. Dynos have the labels of their
// image as well, but that is finished.
func (b *Builder) removeContainers(ctx context.Context, filter filters.Args) error {
	all, err := b.engine.ContainerList(ctx, container.ListOptions{All: true, Filters: filter})
	if err != nil {
		return fmt.Errorf("docker: listing containers: %w", err)
	}
	var failed error
	for _, c := range all {
		if c.Labels[buildLabel] != "" {
			continue
		}
		err := b.engine.ContainerRemove(ctx, c.ID, container.RemoveOptions{Force: true})
		if errdefs.IsConflict(err) { // the engine is about it
			err = b.awaitRemoved(ctx, c.ID)
		}
		if err != nil && !errdefs.IsNotFound(err) {
			failed = errors.Join(failed, fmt.Errorf("docker: removing a build's container: %w", err))
		}
	}
	return failed
}

func (b *Builder) awaitRemoved(ctx context.Context, id string) error {
	removed, failed := b.engine.ContainerWait(ctx, id, container.WaitConditionRemoved)
	select {
	case <-removed:
		return nil
	case err := <-failed:
		return err
	}
}
