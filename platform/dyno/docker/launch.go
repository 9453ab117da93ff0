package docker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"

	"niwa/platform/docker"
	"niwa/platform/dyno"
	"niwa/platform/dyno/home"
)

// launch makes a dyno and all that it needs, or nothing.
func (r *Runner) launch(ctx context.Context, d *instance) (addr string, err error) {
	var undo []func()
	defer func() {
		for i := len(undo) - 1; err != nil && i >= 0; i-- {
			undo[i]()
		}
	}()
	of := []string{d.spec.Slug, d.spec.Dir, d.spec.Image}
	if slices.Sort(of); of[1] != "" || of[2] == "" {
		return "", errors.New("it needs either a slug, a directory or an image")
	}
	if d.home, err = home.Make(ctx, filepath.Join(r.cfg.Dir, d.spec.ID), d.spec); err != nil {
		return "", err
	}
	undo = append(undo, func() { err = errors.Join(err, d.home.Remove()) })
	network, err := r.networks.join(ctx, d.spec.App)
	if err != nil {
		return "", err
	}
	undo = append(undo, func() { r.networks.leave(d.spec.App) })
	undo = append(undo, func() { r.discard(ctx, d) })
	if err := r.create(ctx, d, network); err != nil {
		return "", err
	}
	if attached(d.spec) {
		if d.terminal, err = r.attach(ctx, d); err != nil {
			return "", err
		}
		undo = append(undo, d.terminal.close)
	}
	d.started = time.Now()
	if err := r.cfg.Engine.ContainerStart(ctx, containerName(d.spec.ID), container.StartOptions{}); err != nil {
		return "", err
	}
	if d.addr, err = r.addr(ctx, d); err != nil {
		return "", err
	}
	return d.addr, r.begin(d)
}

// create makes the dyno's container. One of that name was left by a start
// whose end nobody saw.
func (r *Runner) create(ctx context.Context, d *instance, network string) error {
	var own *image.InspectResponse
	if d.spec.Image != "" {
		found, err := r.cfg.Engine.ImageInspect(ctx, d.spec.Image)
		if err != nil {
			return err
		}
		own = &found
	}
	p := r.plan(d.spec, d.home, network, own)
	if err := p.furnish(d.spec, d.home); err != nil {
		return err
	}
	name := containerName(d.spec.ID)
	_, err := r.cfg.Engine.ContainerCreate(ctx, &p.config, &p.host, nil, nil, name)
	if errdefs.IsConflict(err) {
		if _, err := r.remove(ctx, name); err != nil {
			return err
		}
		_, err = r.cfg.Engine.ContainerCreate(ctx, &p.config, &p.host, nil, nil, name)
	}
	return err
}

// addr is where a web dyno answers: at its own address, since the engine's
// forwarder would take connections before the dyno does.
func (r *Runner) addr(ctx context.Context, d *instance) (string, error) {
	if !d.spec.Web {
		return "", nil
	}
	info, err := r.cfg.Engine.ContainerInspect(ctx, containerName(d.spec.ID))
	if err != nil {
		return "", err
	}
	return addressOf(info, d.spec.App), nil
}

// Accepts implements dyno.Runner. Nobody else can listen at a dyno's own
// address.
func (r *Runner) Accepts(ctx context.Context, id string) bool {
	d, ok := r.get(id)
	return ok && d.addr != "" && dyno.Answers(ctx, d.addr)
}

// addressOf is empty when the container has ended, and has no address any more.
func addressOf(info container.InspectResponse, app string) string {
	if info.NetworkSettings == nil {
		return ""
	}
	at, ok := info.NetworkSettings.Networks[networkName(app)]
	if !ok || at.IPAddress == "" {
		return ""
	}
	return net.JoinHostPort(at.IPAddress, strconv.Itoa(port))
}

// begin reads the output of a container that has been started, and waits for
// its end.
func (r *Runner) begin(d *instance) (err error) {
	if d.spec.TTY != nil {
		d.output = d.terminal.pump(d.spec.Output)
		r.background.Go(func() { r.resize(d) })
	} else if d.output, err = d.home.Pump(d.spec.Output, d.quiet); err != nil {
		return err
	}
	if d.terminal != nil {
		go d.terminal.feed(d.spec) // a Read of spec.Stdin may outlast everything
	}
	r.mu.Lock()
	d.running = true
	r.mu.Unlock()
	r.background.Go(func() { r.see(d) })
	return nil
}

// Adopt implements dyno.Runner.
func (r *Runner) Adopt(ctx context.Context, spec dyno.Spec) (string, error) {
	addr, err := r.adopt(ctx, spec)
	if err != nil {
		return "", fmt.Errorf("adopt dyno %s: %w", spec.ID, err)
	}
	return addr, nil
}

func (r *Runner) adopt(ctx context.Context, spec dyno.Spec) (addr string, err error) {
	if attached(spec) {
		return "", errors.New("its terminal or input went with the niwa that started it")
	}
	d, err := r.reserve(spec)
	if err != nil {
		return "", err
	}
	defer func() {
		if err != nil {
			r.forget(spec.ID)
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	info, err := r.cfg.Engine.ContainerInspect(ctx, containerName(spec.ID))
	if err != nil {
		return "", err
	}
	if info.Config.Labels[docker.Label] != r.cfg.Engine.Platform || info.Config.Labels[appLabel] != spec.App {
		return "", errors.New("a container of its name belongs to somebody else")
	}
	if info.State.Status == container.StateCreated {
		return "", errors.New("its container has never been started")
	}
	if d.home, err = home.Open(filepath.Join(r.cfg.Dir, spec.ID), spec); err != nil {
		return "", err
	}
	if d.started, err = time.Parse(time.RFC3339Nano, info.State.StartedAt); err != nil {
		return "", err
	}
	if _, err := r.networks.join(ctx, spec.App); err != nil {
		return "", err
	}
	if spec.Web {
		d.addr = addressOf(info, spec.App)
	}
	if err := r.begin(d); err != nil {
		r.networks.leave(spec.App)
		return "", err
	}
	return d.addr, nil
}
