// Package process runs dynos as processes of this machine. Each has a folder of
// its own, an environment with nothing of niwa's in it, a first process that
// is niwa's own program and outlives a niwa that is killed and, when niwa is
// root, the Unix user of its app.
//
// Where the kernel allows it a dyno has namespaces: it sees no other process,
// its folder is /app, /tmp is its own, the rest of the machine is there to be
// read, and what niwa keeps is not; and a control group, which limits its
// memory, its share of the CPU and the number of its processes. Gaps says what
// is not so here.
package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"niwa/platform/dyno"
	"niwa/platform/dyno/home"
	"niwa/platform/proc"
)

// Config says where dynos live.
type Config struct {
	Dir      string // holds a folder per dyno; app users must be able to reach it
	Procs    *proc.Table
	Path     string   // PATH of dynos
	Platform string   // id, by which its control groups are known; empty for none
	Hide     []string // files and folders that no dyno is to see, outer ones first; Dir is one in any case
	Show     []string // what dynos see of that all the same, as they do where Path leads
}

// Runner runs dynos as processes. The program it is in calls pid1.Main first.
type Runner struct {
	cfg   Config
	host  func() (*host, error) // finds out once what this machine can do, and makes Dir
	ports ports

	mu    sync.Mutex
	dynos map[string]*instance
	ended []string // ids in the order they ended
}

var _ dyno.Runner = (*Runner)(nil)

// New returns a runner. No two may use one Dir at the same time.
func New(cfg Config) *Runner {
	r := &Runner{cfg: cfg, dynos: map[string]*instance{}, ports: ports{used: map[int]bool{}}}
	r.host = sync.OnceValues(r.examine)
	return r
}

// Gaps are sentences that say what of a dyno is not isolated or limited here.
func (r *Runner) Gaps() ([]string, error) {
	h, err := r.host()
	if err != nil {
		return nil, err
	}
	return h.gaps(), nil
}

// Start implements dyno.Runner.
func (r *Runner) Start(ctx context.Context, spec dyno.Spec) (string, error) {
	d, err := r.reserve(spec, check)
	if err == nil {
		if err = r.launch(ctx, d, spec); err != nil {
			err = errors.Join(err, r.discard(d))
		}
	}
	if err != nil {
		return "", fmt.Errorf("start dyno %s: %w", spec.ID, err)
	}
	return d.addr(), nil
}

// Adopt implements dyno.Runner.
func (r *Runner) Adopt(_ context.Context, spec dyno.Spec) (string, error) {
	d, err := r.reserve(spec, checkAdoption)
	if err == nil {
		if err = r.takeBack(d, spec); err != nil {
			r.forget(d.id)
		}
	}
	if err != nil {
		return "", fmt.Errorf("adopt dyno %s: %w", spec.ID, err)
	}
	return d.addr(), nil
}

// Sweep implements dyno.Runner.
func (r *Runner) Sweep(context.Context) error {
	h, err := r.host()
	if err != nil {
		return err
	}
	if _, err := r.cfg.Procs.Sweep(procName("")); err != nil {
		return err
	}
	if h.groups != nil {
		if err := h.groups.Sweep(r.known); err != nil {
			return err
		}
	}
	entries, err := os.ReadDir(r.cfg.Dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if r.known(e.Name()) {
			continue
		}
		if err := home.Remove(filepath.Join(r.cfg.Dir, e.Name())); err != nil {
			return fmt.Errorf("folder of a dyno that has ended: %w", err)
		}
	}
	return nil
}

// procName is what a dyno's first process is called in the process table.
func procName(id string) string { return "dyno." + id }

func check(spec dyno.Spec) error {
	switch euid := os.Geteuid(); {
	case uuid.Validate(spec.ID) != nil:
		return errors.New("its id is not a uuid")
	case spec.Image != "":
		return errors.New("container images need the docker runtime: start Docker, and niwa with --runtime docker")
	case (spec.Slug == "") == (spec.Dir == ""):
		return errors.New("it needs either a slug or a directory")
	case spec.Output == nil:
		return errors.New("its output has nowhere to go")
	case euid == 0 && spec.UID <= 0:
		return errors.New("an app must not run as root: give it a Unix user of its own")
	case euid != 0 && spec.UID != 0 && spec.UID != euid:
		return fmt.Errorf("only root can run it as user %d: start niwa as root, or give it no user", spec.UID)
	}
	return checkEnv(spec.Env)
}

func checkAdoption(spec dyno.Spec) error {
	switch {
	case uuid.Validate(spec.ID) != nil:
		return errors.New("its id is not a uuid")
	case spec.TTY != nil || spec.Stdin != nil:
		return errors.New("its terminal or input went with the platform that started it")
	case spec.Output == nil:
		return errors.New("its output has nowhere to go")
	}
	return nil
}

// reserve makes a place for a dyno that may be started or adopted.
func (r *Runner) reserve(spec dyno.Spec, check func(dyno.Spec) error) (*instance, error) {
	if err := check(spec); err != nil {
		return nil, err
	}
	if _, err := r.host(); err != nil {
		return nil, err
	}
	d := &instance{id: spec.ID, dir: spec.Dir, uid: spec.UID, done: make(chan struct{})}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, other := range r.dynos {
		live := !slices.Contains(r.ended, other.id)
		if other.id == d.id && live {
			return nil, errors.New("it is running already")
		}
		if d.dir != "" && other.dir == d.dir && live {
			return nil, fmt.Errorf("dyno %s is running in %s", other.id, d.dir)
		}
	}
	r.ended = slices.DeleteFunc(r.ended, func(id string) bool { return id == d.id })
	r.dynos[d.id] = d
	return d, nil
}

// known says whether a dyno is running, as far as this runner knows.
func (r *Runner) known(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.dynos[id] != nil && !slices.Contains(r.ended, id)
}

func (r *Runner) forget(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.dynos, id)
}

// get returns a dyno that has been started.
func (r *Runner) get(id string) (*instance, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	d := r.dynos[id]
	return d, d != nil && d.up
}

// Stop implements dyno.Runner.
func (r *Runner) Stop(ctx context.Context, id string, grace time.Duration) error {
	d, ok := r.get(id)
	if !ok {
		return nil
	}
	return d.stop(ctx, grace)
}

// Close kills the dynos that are still there, and returns when nothing of them
// is left.
func (r *Runner) Close(ctx context.Context) error {
	r.mu.Lock()
	var left []*instance
	for _, d := range r.dynos {
		if d.up && !slices.Contains(r.ended, d.id) {
			left = append(left, d)
		}
	}
	r.mu.Unlock()
	var errs []error
	for _, d := range left {
		errs = append(errs, d.stop(ctx, 0))
	}
	for _, d := range left {
		if _, err := r.Wait(ctx, d.id); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Wait implements dyno.Runner. An error beside the exit of a dyno that has
// ended says that something of it could not be removed.
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

// Memory implements dyno.Runner.
func (r *Runner) Memory(_ context.Context, id string) (int64, error) {
	d, ok := r.get(id)
	if !ok {
		return 0, fmt.Errorf("memory of dyno %s: there is no such dyno", id)
	}
	used, err := d.memory()
	if err != nil {
		return 0, fmt.Errorf("memory of dyno %s: %w", id, err)
	}
	return used, nil
}
