package engine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"golang.org/x/sys/unix"

	"niwa/platform/docker"
)

// containers runs tasks in containers of an image. Nothing is asked of the
// image but the program: it runs as the user, on the files and with the
// arguments that it would have as a process, so that data can go from one to
// the other. The network is the machine's own for the same reason, and because
// dynos, which have networks of their own, all reach that.
type containers struct {
	*Home
	engine  *docker.Engine
	image   string   // its id: the name may come to mean another
	volumes []string // that the image declares
}

const (
	// TaskLabel is on every container; its value is the id of the task.
	TaskLabel = "dev.niwa.task"
	// configLabel tells what a container was made by.
	configLabel = "dev.niwa.config"
)

// Launch starts a container, or takes back the one that runs.
func (c *containers) Launch(ctx context.Context, t Task) (Child, error) {
	if _, err := c.Procs.Sweep(t.ID); err != nil { // it was a process before
		return nil, err
	}
	child, err := c.take(ctx, t)
	if child != nil || err != nil {
		return child, err
	}
	if t.Check != nil {
		if err := t.Check(); err != nil {
			return nil, err
		}
	}
	made, err := c.create(ctx, t)
	if err != nil {
		return nil, err
	}
	err = c.engine.ContainerStart(ctx, made, container.StartOptions{})
	child = watch(c.engine, made) // which one that has not been started takes for its end
	if err != nil {
		return nil, errors.Join(fmt.Errorf("container %s: %w", c.name(t.ID), err), child.Stop(context.WithoutCancel(ctx), 0))
	}
	return child, nil
}

// take takes back the container of a task. One that does not run, or was made
// otherwise, is removed.
func (c *containers) take(ctx context.Context, t Task) (Child, error) {
	config, _ := c.spec(t)
	there, err := c.engine.ContainerInspect(ctx, c.name(t.ID))
	switch {
	case errdefs.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, err
	case there.Config.Labels[docker.Label] != c.engine.Platform:
		return nil, fmt.Errorf("a container called %s is there already, and is not niwa's", c.name(t.ID))
	}
	child := watch(c.engine, there.ID)
	if there.State.Running && there.Config.Labels[configLabel] == config.Labels[configLabel] {
		return child, nil
	}
	return nil, child.Stop(ctx, stopGrace)
}

// create makes the container of a task. Whoever gives up meanwhile does not
// stop the engine, so it is waited for, and what comes of it is removed. What
// it is still making for a niwa that was killed has the name, and is removed
// as soon as it is there.
func (c *containers) create(ctx context.Context, t Task) (id string, err error) {
	config, host := c.spec(t)
	patient, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerTime)
	defer cancel()
	for {
		made, err := c.engine.ContainerCreate(patient, config, host, nil, nil, c.name(t.ID))
		if err == nil && ctx.Err() != nil {
			return "", errors.Join(ctx.Err(), watch(c.engine, made.ID).Stop(context.WithoutCancel(ctx), 0))
		}
		if !errdefs.IsConflict(err) || ctx.Err() != nil {
			return made.ID, err
		}
		if err := c.sweepContainers(patient, t.ID); err != nil {
			return "", err
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-patient.Done():
			return "", err
		}
	}
}

func (c *containers) name(task string) string { return "niwa-" + c.engine.Platform[:8] + "-" + task }

// spec is what a task's container is made by. Its label holds a digest of all
// of it, by which the next niwa sees whether it would make the same.
func (c *containers) spec(t Task) (*container.Config, *container.HostConfig) {
	config := &container.Config{
		Image: c.image, Entrypoint: t.Args[:1], Cmd: t.Args[1:],
		User:        fmt.Sprintf("%d:%d", c.User.uid, c.User.gid),
		WorkingDir:  t.Dir,
		Env:         []string{"HOME=" + t.Dir, "LC_ALL=C", "TZ=UTC"},
		StopSignal:  unix.SignalName(t.Signal),
		Healthcheck: &container.HealthConfig{Test: []string{"NONE"}},
		Labels:      c.engine.Labels(TaskLabel, t.ID),
	}
	host := &container.HostConfig{
		NetworkMode: "host", UsernsMode: "host",
		CapDrop: []string{"ALL"}, SecurityOpt: []string{"no-new-privileges"}, ReadonlyRootfs: true,
		Mounts: []mount.Mount{
			{Type: mount.TypeBind, Source: t.Dir, Target: t.Dir},
			{Type: mount.TypeBind, Source: c.passwd(), Target: "/etc/passwd", ReadOnly: true},
			{Type: mount.TypeTmpfs, Target: "/tmp"},
		},
		LogConfig: container.LogConfig{Type: "json-file", Config: map[string]string{"max-size": "1m", "max-file": "2"}},
	}
	for _, path := range c.volumes { // else each gets a volume that nobody asked for
		host.Mounts = append(host.Mounts, mount.Mount{Type: mount.TypeTmpfs, Target: path})
	}
	config.Labels[configLabel] = digest(config, host, t.Config)
	return config, host
}

// digest is the same for what is the same in JSON.
func digest(parts ...any) string {
	sum := sha256.New()
	_ = json.NewEncoder(sum).Encode(parts) // a hash takes every write, and JSON all there is in parts
	return hex.EncodeToString(sum.Sum(nil))
}
