// Package image makes container images of Dockerfiles in a Docker engine, with
// the builder that every engine has behind its API.
//
// All that a build makes in the engine says whose it is. A LABEL after each
// FROM is inherited by what follows, the containers of RUN included; the
// finished image says besides which build made it, and has a name, so that
// pruning an engine does not take it. What only has the first label is the
// app's build cache.
//
// A Dockerfile is not trusted. It is read and sent through an os.Root; its
// programs run in containers of the engine, with the limits below, as root of
// the container, which is what Dockerfiles are written for.
package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/build"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/jsonmessage"

	"niwa/platform/docker"
)

const (
	appLabel   = "dev.niwa.built-for" // the app's uuid
	buildLabel = "dev.niwa.build"     // the build's uuid, on finished images

	// repository is the name of finished images, before the tag.
	repository = "niwa/app"
)

// What one container of a build may use of the machine.
const (
	memory    = 2 << 30 // bytes
	cpuShares = 512     // half of what a dyno weighs on a busy machine
	processes = 4096    // with their threads
)

// Builder builds images in one engine. Its methods may be called at the same
// time.
type Builder struct{ engine *docker.Engine }

// New returns a Builder.
func New(engine *docker.Engine) *Builder { return &Builder{engine} }

// Request asks for an image.
type Request struct {
	App, Build string   // uuids
	Name       string   // of the image within the build: web
	Source     *os.Root // the app's source, in which no program runs meanwhile
	Dockerfile string   // its path in the source; its folder is the build's context
	Target     string   // the stage to stop after; empty for the last
	Args       map[string]string
	Output     io.Writer // told what the engine says, as it says it
}

// Image is a finished image.
type Image struct {
	ID      string // sha256:hex
	Size    int64  // bytes, with those it shares with other images
	Command string // its ENTRYPOINT and CMD, to be shown; empty when it has neither
	// Layers are the short ids of all that it was made of, finished or not:
	// what Trim has to keep.
	Layers []string
}

// Fault says what is wrong with a Dockerfile, or with what it runs, to whoever
// wrote it.
type Fault string

func (f Fault) Error() string { return string(f) }

func faultf(format string, args ...any) error { return Fault(fmt.Sprintf(format, args...)) }

// Build makes an image. When it returns an error, there is no image, nothing of
// it runs, and what it had made by then is cache. The end of ctx ends the build.
// An app has one at a time.
func (b *Builder) Build(ctx context.Context, req Request) (Image, error) {
	source, err := req.Source.OpenRoot(path.Dir(req.Dockerfile))
	if errors.Is(err, os.ErrNotExist) {
		return Image{}, faultf("there is no folder %s", path.Dir(req.Dockerfile))
	}
	if err != nil {
		return Image{}, err
	}
	defer source.Close()
	text, lines, err := b.dockerfile(req)
	if err != nil {
		return Image{}, err
	}
	c, err := newContext(ctx, source, path.Base(req.Dockerfile), text)
	if err != nil {
		return Image{}, err
	}
	layers, err := b.run(ctx, req, c)
	if sendErr := c.close(); err != nil && sendErr != nil {
		err = sendErr // why the engine did not get it all
	}
	if ctx.Err() != nil {
		return Image{}, errors.Join(context.Cause(ctx), b.end(ctx, req.App))
	}
	if err != nil {
		return Image{}, blame(err, lines)
	}
	return b.inspect(ctx, tag(req), layers)
}

// dockerfile is what the engine is to build, and which of its lines were not
// in the one that was pushed.
func (b *Builder) dockerfile(req Request) (text []byte, added []int, err error) {
	text, err = read(req.Source, req.Dockerfile)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil, faultf("there is no file %s", req.Dockerfile)
	}
	if err != nil {
		return nil, nil, err
	}
	text, added = labelled(text, b.engine.Labels(appLabel, req.App))
	return text, added, nil
}

func (b *Builder) run(ctx context.Context, req Request, c *buildContext) (layers []string, err error) {
	response, err := b.engine.ImageBuild(ctx, c, b.options(req))
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	w := &watch{out: req.Output, begun: func(id string) error { return b.limit(ctx, req.App, id) }}
	err = jsonmessage.DisplayJSONMessagesStream(response.Body, w, 0, false, nil)
	return w.layers, errors.Join(err, w.err)
}

func (b *Builder) options(req Request) build.ImageBuildOptions {
	args := map[string]*string{}
	for name, value := range req.Args {
		args[name] = &value
	}
	return build.ImageBuildOptions{
		Version:    build.BuilderV1,
		Dockerfile: path.Base(req.Dockerfile),
		Target:     req.Target,
		BuildArgs:  args,
		Labels:     map[string]string{buildLabel: req.Build}, // beside those of its stage
		Tags:       []string{tag(req)},
		Remove:     true, ForceRemove: true,
		Memory: memory, MemorySwap: memory, CPUShares: cpuShares,
	}
}

// tag names an image. Names of process types may be longer than a tag.
func tag(req Request) string {
	return fmt.Sprintf("%s:%s-%s", repository, req.Build, req.Name[:min(len(req.Name), 64)])
}

// limit bounds the processes of a build's container, for which the builder has
// no option. Its id was read in the output, which also holds what programs
// say, so it has to be a container of this app that has no limit, as dynos do.
func (b *Builder) limit(ctx context.Context, app, id string) error {
	info, err := b.engine.ContainerInspect(ctx, id)
	if errdefs.IsNotFound(err) {
		return nil
	}
	if err != nil || info.Config.Labels[appLabel] != app || info.HostConfig.PidsLimit != nil {
		return err
	}
	most := int64(processes)
	_, err = b.engine.ContainerUpdate(ctx, id, container.UpdateConfig{Resources: container.Resources{PidsLimit: &most}})
	if err == nil {
		return nil
	}
	if info, gone := b.engine.ContainerInspect(ctx, id); errdefs.IsNotFound(gone) || gone == nil && !info.State.Running {
		return nil // it ended meanwhile
	}
	return err
}

// blame tells a fault of the Dockerfile from one of the engine.
func blame(err error, added []int) error {
	var said *jsonmessage.JSONError
	switch {
	case errors.As(err, &said):
		return Fault(renumbered(said.Message, added))
	case errdefs.IsInvalidArgument(err):
		return Fault(renumbered(strings.TrimPrefix(err.Error(), "Error response from daemon: "), added))
	default:
		return err
	}
}

func (b *Builder) inspect(ctx context.Context, name string, layers []string) (Image, error) {
	info, err := b.engine.ImageInspect(ctx, name)
	if err != nil {
		return Image{}, fmt.Errorf("docker: the image that was built: %w", err)
	}
	if info.Config == nil {
		return Image{}, fmt.Errorf("docker: the image %s has no config", info.ID)
	}
	return Image{ID: info.ID, Size: info.Size, Command: shown(info.Config.Entrypoint, info.Config.Cmd), Layers: layers}, nil
}
