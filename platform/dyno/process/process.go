// Package process runs dynos as processes of this machine. A dyno has a folder
// of its own that stands for /app, a session of its own, an environment with
// nothing of niwa's in it and, when niwa is root, the Unix user of its app.
//
// It is not a jail: dynos see the machine's file system and network as their
// user does, HOME is not /app, and without root all apps share niwa's user.
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
	Dir   string // holds a folder per dyno; app users must be able to reach it
	Procs *proc.Table
	Path  string // PATH of dynos
}

// Runner runs dynos as processes.
type Runner struct {
	cfg    Config
	settle func() error // makes cfg.Dir ready, once

	ports ports

	mu    sync.Mutex
	dynos map[string]*instance
	ended []string // ids in the order they ended
}

var _ dyno.Runner = (*Runner)(nil)

// instance is a dyno from its start until it is forgotten.
type instance struct {
	id   string
	dir  string // Spec.Dir
	home *home.Home
	port int           // 0 when it is no web dyno
	proc *proc.Process // nil while it is being started
	done chan struct{}
	exit dyno.Exit
	err  error
}

// New returns a runner. No dyno of cfg.Dir may be running, as is the case when
// cfg.Procs has just been opened: the first Start removes the folders that a
// dead niwa left there.
func New(cfg Config) *Runner {
	r := &Runner{cfg: cfg, dynos: map[string]*instance{}, ports: ports{used: map[int]bool{}}}
	r.settle = sync.OnceValue(r.cleanDir)
	return r
}

func (r *Runner) cleanDir() error {
	var err error
	if r.cfg.Dir, err = filepath.Abs(r.cfg.Dir); err != nil {
		return err
	}
	if err := os.MkdirAll(r.cfg.Dir, 0o711); err != nil {
		return err
	}
	if err := os.Chmod(r.cfg.Dir, 0o711); err != nil { // whatever the umask
		return err
	}
	entries, err := os.ReadDir(r.cfg.Dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := home.Remove(filepath.Join(r.cfg.Dir, e.Name())); err != nil {
			return fmt.Errorf("folder of a dyno that has ended: %w", err)
		}
	}
	return nil
}

// Start implements dyno.Runner.
func (r *Runner) Start(ctx context.Context, spec dyno.Spec) (string, error) {
	if err := check(spec); err != nil {
		return "", fmt.Errorf("start dyno %s: %w", spec.ID, err)
	}
	if err := r.settle(); err != nil {
		return "", fmt.Errorf("folder for dynos: %w", err)
	}
	d := &instance{id: spec.ID, dir: spec.Dir, done: make(chan struct{})}
	if err := r.reserve(d); err != nil {
		return "", err
	}
	if err := r.launch(ctx, d, spec); err != nil {
		r.ports.release(d.port)
		r.forget(d.id)
		return "", fmt.Errorf("start dyno %s: %w", spec.ID, err)
	}
	return d.addr(), nil
}

// addr is where a web dyno answers.
func (d *instance) addr() string {
	if d.port == 0 {
		return ""
	}
	return fmt.Sprintf("127.0.0.1:%d", d.port)
}

// Adopt implements dyno.Runner. Dynos end with the platform that started them.
func (r *Runner) Adopt(_ context.Context, spec dyno.Spec) (string, error) {
	return "", fmt.Errorf("adopt dyno %s: it ended with the platform that started it", spec.ID)
}

// Sweep implements dyno.Runner.
func (r *Runner) Sweep(context.Context) error { return r.settle() }

// Memory implements dyno.Runner.
func (r *Runner) Memory(_ context.Context, id string) (int64, error) {
	return 0, fmt.Errorf("memory of dyno %s: not measured", id)
}

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
	return nil
}

func (r *Runner) reserve(d *instance) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, other := range r.dynos {
		live := !slices.Contains(r.ended, other.id)
		if other.id == d.id && live {
			return fmt.Errorf("start dyno %s: it is running already", d.id)
		}
		if d.dir != "" && other.dir == d.dir && live {
			return fmt.Errorf("start dyno %s: dyno %s is running in %s", d.id, other.id, d.dir)
		}
	}
	r.ended = slices.DeleteFunc(r.ended, func(id string) bool { return id == d.id })
	r.dynos[d.id] = d
	return nil
}

func (r *Runner) forget(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.dynos, id)
}

func (r *Runner) launch(ctx context.Context, d *instance, spec dyno.Spec) (err error) {
	d.home, err = home.Make(ctx, filepath.Join(r.cfg.Dir, spec.ID), spec)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.home.Remove())
		}
	}()
	if spec.Web {
		if d.port, err = r.ports.take(); err != nil {
			return err
		}
	}
	cmd := command(spec, d.home, d.port, r.cfg.Path)
	io, err := connect(cmd, spec)
	if err != nil {
		return err
	}
	p, err := r.cfg.Procs.Start("dyno."+spec.ID, cmd)
	io.started()
	if err != nil {
		io.close()
		return err
	}
	r.mu.Lock()
	d.proc = p
	r.mu.Unlock()
	outputDone := io.pump(spec, p.Done())
	go func() {
		<-p.Done()
		<-outputDone
		io.close()
		r.end(d)
	}()
	return nil
}

// end records how a dyno ended. Its exit can be asked for until a thousand
// more have ended.
func (r *Runner) end(d *instance) {
	d.exit.Code, d.exit.Signal = d.proc.ExitCode()
	if err := d.home.Remove(); err != nil {
		d.err = fmt.Errorf("dyno %s has ended, but its folder stays: %w", d.id, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ports.release(d.port)
	r.ended = append(r.ended, d.id)
	if len(r.ended) > 1000 {
		delete(r.dynos, r.ended[0])
		r.ended = slices.Delete(r.ended, 0, 1)
	}
	close(d.done)
}

func (r *Runner) get(id string) (*instance, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	d := r.dynos[id]
	return d, d != nil && d.proc != nil
}

// Stop implements dyno.Runner.
func (r *Runner) Stop(ctx context.Context, id string, grace time.Duration) error {
	d, ok := r.get(id)
	if !ok {
		return nil
	}
	return d.proc.Stop(ctx, grace)
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
