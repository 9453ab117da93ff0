package process

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"niwa/platform/dyno"
	"niwa/platform/dyno/home"
	"niwa/platform/dyno/process/cgroup"
	"niwa/platform/proc"
)

// instance is a dyno from its start until it is forgotten.
type instance struct {
	id    string
	dir   string // Spec.Dir
	uid   int
	note  note
	home  *home.Home
	group *cgroup.Group // nil where there are none
	proc  *proc.Process // nil for one that had ended when it was adopted
	up    bool          // it has been started; under Runner.mu

	exhausted atomic.Bool // it was killed for its memory
	done      chan struct{}
	exit      dyno.Exit
	err       error
}

// note is what a runner has to know of a dyno that an earlier one started.
type note struct {
	Port int `json:"port"` // 0 when it is no web dyno
}

func noteFile(h *home.Home) string { return filepath.Join(h.Run, "process.json") }

func (n note) save(h *home.Home) error {
	data, err := json.Marshal(n)
	if err != nil {
		return err
	}
	return os.WriteFile(noteFile(h), data, 0o600)
}

func (n *note) load(h *home.Home) error {
	data, err := os.ReadFile(noteFile(h))
	if err != nil {
		return err
	}
	return json.Unmarshal(data, n)
}

// addr is where a web dyno answers.
func (d *instance) addr() string {
	if d.note.Port == 0 {
		return ""
	}
	return fmt.Sprintf("127.0.0.1:%d", d.note.Port)
}

// stop leaves it to the first process to tell the others.
func (d *instance) stop(ctx context.Context, grace time.Duration) error {
	if d.proc == nil {
		return nil
	}
	return d.proc.Shutdown(ctx, syscall.SIGTERM, grace)
}

func (d *instance) memory() (int64, error) {
	select {
	case <-d.done:
		return 0, errors.New("it has ended")
	default:
	}
	if d.group != nil {
		return d.group.Memory()
	}
	return d.proc.Memory()
}

// guardEvery is how often a dyno is looked at for its memory.
const guardEvery = time.Second

// guard kills a dyno that uses twice its memory. Where there are groups the
// kernel sees to that, though it may kill but one of its processes.
func (d *instance) guard(memory int64) {
	tick := time.NewTicker(guardEvery)
	defer tick.Stop()
	for {
		select {
		case <-d.proc.Done():
			return
		case <-tick.C:
		}
		over := d.group != nil && d.group.Exhausted()
		if d.group == nil {
			used, err := d.proc.Memory()
			over = err == nil && used > 2*memory
		}
		if over {
			d.exhausted.Store(true)
			_ = d.proc.Stop(context.Background(), 0) // Wait tells what comes of it
			return
		}
	}
}

// ending is how the dyno ended. Its first process wrote that down, unless the
// disk was full, or it was killed and everything with it.
func (d *instance) ending() dyno.Exit {
	killed := dyno.Exit{Code: 128 + int(syscall.SIGKILL), Signal: "SIGKILL"}
	if d.exhausted.Load() || d.group != nil && d.group.Exhausted() {
		killed.Exhausted = true
		return killed
	}
	if exit, ok := d.home.Ended(); ok {
		return exit
	}
	if d.proc != nil {
		if code, signal := d.proc.ExitCode(); code >= 0 { // it has not been adopted
			return dyno.Exit{Code: code, Signal: signal}
		}
	}
	return killed
}

// remove removes everything of a dyno in which nothing runs any more.
func (d *instance) remove() error {
	var errs []error
	if d.group != nil {
		errs = append(errs, d.group.Remove())
	}
	if d.home != nil {
		errs = append(errs, d.home.Remove())
	}
	return errors.Join(errs...)
}

// end records how a dyno ended. Its exit can be asked for until a thousand
// more have ended.
func (r *Runner) end(d *instance) {
	d.exit = d.ending()
	if err := d.remove(); err != nil {
		d.err = fmt.Errorf("dyno %s has ended, but something of it stays: %w", d.id, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ports.release(d.note.Port)
	r.ended = append(r.ended, d.id)
	if len(r.ended) > 1000 {
		delete(r.dynos, r.ended[0])
		r.ended = slices.Delete(r.ended, 0, 1)
	}
	close(d.done)
}

// discard removes a dyno whose start failed.
func (r *Runner) discard(d *instance) error {
	var err error
	if d.proc != nil {
		err = d.proc.Stop(context.Background(), 0)
	}
	err = errors.Join(err, d.remove())
	r.ports.release(d.note.Port)
	r.forget(d.id)
	return err
}
