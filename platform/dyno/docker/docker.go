// Package docker runs dynos as containers of a Docker engine on this machine.
// A dyno is made of the stack image, which it cannot change, with an /app and
// a /tmp of its own; it runs as its app's user without any capability, on a
// network of the app's own. The first process in it is niwa's (see pid1).
//
// What a dyno writes goes through a pipe in its folder and not through the
// engine, so that an engine or a niwa that is killed loses none of it. A dyno
// with a terminal or input is attached through the engine, and does not
// outlive its niwa.
//
// The engine is asked again for as long as it does not answer: only what it
// says has ended has ended.
package docker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"niwa/platform/docker"
	"niwa/platform/dyno"
	"niwa/platform/dyno/home"
	"niwa/platform/stack"
)

// Config says what dynos are made of.
type Config struct {
	Engine *docker.Engine
	Dir    string       // holds a folder per dyno; app users must be able to reach it
	First  string       // program that is the first process of dynos: pid1.Program
	Stack  stack.Images // of dynos with a slug, and of those with a directory

	// What dynos see of this machine, where they have no image of their own.
	Shared     []stack.Mount
	Toolchains []stack.Mount // those with a directory: builds
}

// Bounds on what the engine may take for one request, and for a whole start.
const (
	callTime  = 15 * time.Second
	startTime = time.Minute
)

// Runner runs dynos as containers.
type Runner struct {
	cfg      Config
	networks *networks

	// What goes on in the background ends with ctx, and is counted.
	ctx        context.Context
	cancel     context.CancelFunc
	background sync.WaitGroup

	mu    sync.Mutex
	dynos map[string]*instance
	past  []string // ids in the order they ended
}

var _ dyno.Runner = (*Runner)(nil)

// instance is a dyno from its start until it is forgotten.
type instance struct {
	spec     dyno.Spec
	home     *home.Home
	started  time.Time
	addr     string    // where a web dyno answers
	terminal *terminal // nil for a dyno without terminal and input
	running  bool      // there is something to stop and to wait for

	ending sync.Mutex      // held to close over
	over   chan struct{}   // closed when the container has ended
	quiet  chan struct{}   // closed then too, or when the runner lets go of it
	output <-chan struct{} // closed when spec.Output has everything
	done   chan struct{}   // closed when nothing is left of it
	exit   dyno.Exit
	err    error
}

// New returns a runner.
func New(cfg Config) (*Runner, error) {
	var err error
	if cfg.Dir, err = filepath.Abs(cfg.Dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(cfg.Dir, 0o711); err != nil {
		return nil, err
	}
	if err := os.Chmod(cfg.Dir, 0o711); err != nil { // whatever the umask
		return nil, err
	}
	return newRunner(cfg), nil
}

func newRunner(cfg Config) *Runner {
	r := &Runner{cfg: cfg, networks: &networks{engine: cfg.Engine, apps: map[string]*appNetwork{}}, dynos: map[string]*instance{}}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	return r
}

// Close lets go of the dynos, which go on if they run, and removes the
// networks that have none. It does not close the engine.
func (r *Runner) Close(ctx context.Context) error {
	r.cancel()
	ended := make(chan struct{})
	go func() { r.background.Wait(); close(ended) }()
	select {
	case <-ended:
		r.networks.close(ctx)
		return nil
	case <-ctx.Done():
		return fmt.Errorf("closing the docker runner: %w", context.Cause(ctx))
	}
}

// Start implements dyno.Runner.
func (r *Runner) Start(ctx context.Context, spec dyno.Spec) (string, error) {
	d, err := r.reserve(spec)
	if err != nil {
		return "", fmt.Errorf("start dyno %s: %w", spec.ID, err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, startTime, fmt.Errorf("the Docker engine has taken more than %s", startTime))
	defer cancel()
	addr, err := r.launch(ctx, d)
	if err != nil {
		r.forget(spec.ID)
		return "", fmt.Errorf("start dyno %s: %w", spec.ID, because(ctx, err))
	}
	return addr, nil
}

// because is err, or what ended its context.
func because(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil && errors.Is(err, ctx.Err()) {
		return cause
	}
	return err
}

// check says what is wrong with a dyno that is started or adopted.
func check(spec dyno.Spec) error {
	switch euid := os.Geteuid(); {
	case uuid.Validate(spec.ID) != nil:
		return errors.New("its id is not a uuid")
	case uuid.Validate(spec.App) != nil:
		return errors.New("its app's id is not a uuid")
	case spec.Output == nil:
		return errors.New("its output has nowhere to go")
	case hasNUL(spec.Env):
		return errors.New("a value in its environment has a NUL")
	case euid == 0 && spec.UID <= 0:
		return errors.New("an app must not run as root: give it a Unix user of its own")
	case euid != 0 && spec.UID != 0 && spec.UID != euid:
		return fmt.Errorf("only root can run it as user %d: start niwa as root, or give it no user", spec.UID)
	}
	return nil
}

func hasNUL(env map[string]string) bool {
	for _, value := range env {
		if strings.Contains(value, "\x00") {
			return true
		}
	}
	return false
}

func (r *Runner) reserve(spec dyno.Spec) (*instance, error) {
	if err := check(spec); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, other := range r.dynos {
		live := !slices.Contains(r.past, other.spec.ID)
		if other.spec.ID == spec.ID && live {
			return nil, errors.New("it is running already")
		}
		if spec.Dir != "" && other.spec.Dir == spec.Dir && live {
			return nil, fmt.Errorf("dyno %s is running in %s", other.spec.ID, spec.Dir)
		}
	}
	r.past = slices.DeleteFunc(r.past, func(id string) bool { return id == spec.ID })
	d := &instance{spec: spec, over: make(chan struct{}), quiet: make(chan struct{}), done: make(chan struct{})}
	r.dynos[spec.ID] = d
	return d, nil
}

func (r *Runner) forget(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.dynos, id)
}

// get finds a dyno that has been started.
func (r *Runner) get(id string) (*instance, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	d := r.dynos[id]
	return d, d != nil && d.running
}

// Wait implements dyno.Runner. An error beside the exit of a dyno that has
// ended says that its folder could not be removed.
func (r *Runner) Wait(ctx context.Context, id string) (dyno.Exit, error) {
	d, ok := r.get(id)
	if !ok {
		return dyno.Exit{}, fmt.Errorf("wait for dyno %s: there is no such dyno", id)
	}
	select {
	case <-d.done:
		return d.exit, d.err
	case <-ctx.Done():
		return dyno.Exit{}, fmt.Errorf("wait for dyno %s: %w", id, context.Cause(ctx))
	}
}

// noteStop tells a dyno that has only just been started, and may not hear
// signals yet. On a full disk there is no file, and it takes all of its grace.
// What has ended is left alone: its folder is being removed.
func (d *instance) noteStop() {
	d.ending.Lock()
	defer d.ending.Unlock()
	select {
	case <-d.over:
	default:
		_ = os.WriteFile(filepath.Join(d.home.Run, stopFile), nil, 0o444)
	}
}

// Stop implements dyno.Runner. The first process passes SIGTERM on to all
// others, and is the end of them all when it is killed itself.
func (r *Runner) Stop(ctx context.Context, id string, grace time.Duration) error {
	d, ok := r.get(id)
	if !ok {
		return nil
	}
	d.noteStop()
	late := time.NewTimer(grace)
	defer late.Stop()
	for _, step := range []struct {
		signal string
		until  <-chan time.Time
	}{{"SIGTERM", late.C}, {"SIGKILL", nil}} {
		if err := r.signal(ctx, d, step.signal); err != nil {
			return fmt.Errorf("stop dyno %s: %w", id, err)
		}
		select {
		case <-d.over:
			return nil
		case <-step.until:
		case <-ctx.Done():
			return fmt.Errorf("stop dyno %s: %w", id, context.Cause(ctx))
		}
	}
	return nil
}
