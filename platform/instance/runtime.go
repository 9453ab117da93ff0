package instance

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"niwa/platform/build/image"
	"niwa/platform/docker"
	"niwa/platform/dyno"
	containers "niwa/platform/dyno/docker"
	"niwa/platform/dyno/pid1"
	"niwa/platform/dyno/process"
	"niwa/platform/proc"
	"niwa/platform/stack"
)

// Values of Config.Runtime.
const (
	Auto    = "auto"    // containers where they can be had, else processes
	Docker  = "docker"  // containers of a Docker engine
	Process = "process" // processes of this machine
)

const askedFor = "asked for with --runtime process"

// runtime is what runs dynos, and why.
type runtime struct {
	name, reason string
	gaps         []string // what it does not keep dynos from
	runner       dyno.Runner
	machineEnv   map[string]string // of builds
	images       *image.Builder    // nil for processes
}

// String is a line for people.
func (r runtime) String() string {
	if r.name == Docker {
		return "Dynos run as containers: " + r.reason
	}
	return strings.Join(append([]string{"Dynos run as processes: " + r.reason}, r.gaps...), "\n  ")
}

// chooseRuntime makes the runner. Containers need the stack image, which is
// made now if it is not there.
func (i *Instance) chooseRuntime(ctx context.Context, procs *proc.Table) (runtime, error) {
	if i.cfg.Runtime == Process {
		return i.asProcesses(ctx, procs, askedFor)
	}
	r, err := i.inContainers(ctx)
	if err == nil {
		return r, nil
	}
	if i.cfg.Runtime == Docker || ctx.Err() != nil {
		return r, fmt.Errorf("--runtime docker: %w", err)
	}
	reason, rest, more := strings.Cut(err.Error(), "\n")
	if more {
		i.cfg.Progress("%s\n%s", reason, rest)
	}
	return i.asProcesses(ctx, procs, reason)
}

func (i *Instance) asProcesses(ctx context.Context, procs *proc.Table, reason string) (runtime, error) {
	runner := process.New(process.Config{
		Dir: filepath.Join(i.cfg.Data, "dynos"), Procs: procs, Path: os.Getenv("PATH"), Platform: i.home.id,
		Hide: private(i.cfg.Data), Show: certificates(),
	})
	i.onStop(runner.Close)
	gaps, err := runner.Gaps()
	if err != nil {
		return runtime{}, err
	}
	if err := i.purgeContainers(ctx); err != nil {
		i.cfg.Progress("What an earlier niwa has left in the Docker engine stays: %v", err)
	}
	return runtime{name: Process, reason: reason, gaps: gaps, machineEnv: machineEnv(), runner: runner}, nil
}

// purgeContainers removes the dynos of an earlier niwa that was killed and ran
// them as containers. Where no engine answers they have ended.
func (i *Instance) purgeContainers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	engine, err := docker.Connect(ctx, i.home.id)
	if err != nil {
		return nil
	}
	return errors.Join(containers.Purge(ctx, engine), engine.Close())
}

func (i *Instance) inContainers(ctx context.Context) (r runtime, err error) {
	engine, err := docker.Connect(ctx, i.home.id)
	if err != nil {
		return r, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, engine.Close())
		}
	}()
	cfg := containers.Config{Engine: engine, Dir: filepath.Join(i.cfg.Data, "dynos"), Shared: stack.Shared()}
	if cfg.First, err = pid1.Program(); err != nil {
		return r, err
	}
	gateway, err := engine.Gateway(ctx)
	if err != nil {
		return r, err
	}
	s, err := stack.New(engine, i.cfg.StackBase, i.cfg.Progress)
	if err != nil {
		return r, err
	}
	if cfg.Stack, err = s.Ensure(ctx); err != nil {
		return r, err
	}
	if cfg.Toolchains, err = stack.Toolchains(); err != nil {
		i.cfg.Progress("Builds in containers will miss something: %v", err)
	}
	runner, err := containers.New(cfg)
	if err != nil {
		return r, err
	}
	i.dataHost = gateway
	i.onStop(func(context.Context) error { return engine.Close() })
	i.onStop(runner.Close)
	return runtime{
		name: Docker, reason: fmt.Sprintf("Docker %s answers", engine.Version), runner: runner,
		machineEnv: containerEnv(), images: image.New(engine),
	}, nil
}

// ProbeRuntime says what a niwa with this configuration would run dynos with,
// and why; or, when it could not start, what to do.
func ProbeRuntime(ctx context.Context, mode, base string) (name, reason string, err error) {
	if mode == Process {
		return Process, askedFor, nil
	}
	reason, err = probeDocker(ctx, base)
	switch {
	case err == nil:
		return Docker, reason, nil
	case mode == Docker:
		return Docker, "", err
	}
	return Process, err.Error(), nil
}

func probeDocker(ctx context.Context, base string) (string, error) {
	engine, err := docker.Connect(ctx, "")
	if err != nil {
		return "", err
	}
	defer engine.Close()
	if _, err := pid1.Program(); err != nil {
		return "", err
	}
	s, err := stack.New(engine, base, func(string, ...any) {})
	if err != nil {
		return "", err
	}
	missing, err := s.Missing(ctx)
	if err != nil {
		return "", err
	}
	reason := fmt.Sprintf("Docker %s answers", engine.Version)
	if len(missing) > 0 {
		reason += "; the stack image is made at the first start, or with \"niwa stack build\""
	}
	return reason, nil
}
