package process

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"niwa/platform/dyno"
	"niwa/platform/dyno/home"
	"niwa/platform/dyno/pid1"
	"niwa/platform/dyno/process/cgroup"
)

// launch starts a dyno. Whatever it has made when it fails is for discard.
func (r *Runner) launch(ctx context.Context, d *instance, spec dyno.Spec) (err error) {
	h, err := r.host()
	if err != nil {
		return err
	}
	if d.home, err = home.Make(ctx, filepath.Join(r.cfg.Dir, spec.ID), spec); err != nil {
		return err
	}
	if spec.Web {
		if d.note.Port, err = r.ports.take(); err != nil {
			return err
		}
	}
	if err := d.note.save(d.home); err != nil {
		return err
	}
	if h.groups != nil {
		if d.group, err = h.groups.Make(spec.ID, groupLimits(spec.Limits)); err != nil {
			return err
		}
	}
	return r.run(ctx, h, d, spec)
}

// groupLimits are what a dyno's group has: on Heroku one may use twice its
// memory before it is killed.
func groupLimits(l dyno.Limits) cgroup.Limits {
	limits := cgroup.Limits{Memory: 2 * l.Memory, CPU: l.CPU}
	if l.Processes > 0 {
		limits.Processes = l.Processes + pid1.Threads
	}
	return limits
}

// run starts the first process, has the dyno written down and put into its
// group, and only then lets it begin.
func (r *Runner) run(ctx context.Context, h *host, d *instance, spec dyno.Spec) error {
	cmd, handover, err := pid1.Command(r.task(h, d, spec))
	if err != nil {
		return err
	}
	defer handover.Close()
	h.contain(cmd, spec.UID)
	io, err := connect(cmd, spec)
	if err != nil {
		return err
	}
	d.proc, err = r.cfg.Procs.Start(procName(spec.ID), cmd)
	io.started()
	if err == nil && d.group != nil {
		err = d.group.Add(d.proc.Pid())
	}
	if err == nil {
		err = handover.Do(ctx)
	}
	var drained <-chan struct{}
	if err == nil && spec.TTY != nil {
		drained = io.pump(spec.Output, d.proc.Done())
		go io.follow(spec.TTY, d.proc.Done())
	} else if err == nil {
		drained, err = d.home.Pump(spec.Output, d.proc.Done())
	}
	if err != nil {
		io.close()
		return err
	}
	go io.feed(spec)
	r.attend(d, spec, drained, io.close)
	return nil
}

// attend sees a dyno that runs to its end.
func (r *Runner) attend(d *instance, spec dyno.Spec, drained <-chan struct{}, closed func()) {
	r.mu.Lock()
	d.up = true
	r.mu.Unlock()
	if spec.Limits.Memory > 0 {
		go d.guard(spec.Limits.Memory)
	}
	go func() {
		<-d.proc.Done()
		<-drained
		closed()
		r.end(d)
	}()
}

// takeBack adopts a dyno of an earlier platform.
func (r *Runner) takeBack(d *instance, spec dyno.Spec) (err error) {
	h, err := r.host()
	if err != nil {
		return err
	}
	if d.home, err = home.Open(filepath.Join(r.cfg.Dir, spec.ID), spec); err != nil {
		return err
	}
	if err := d.note.load(d.home); err != nil {
		return err
	}
	if h.groups != nil {
		d.group = h.groups.Find(spec.ID)
	}
	var ok bool
	if d.proc, ok = r.cfg.Procs.Adopt(procName(spec.ID)); !ok {
		return r.takeRemains(d, spec)
	}
	drained, err := d.home.Pump(spec.Output, d.proc.Done())
	if err != nil { // to be swept, like all that is not whole
		return errors.Join(err, d.proc.Stop(context.Background(), 0))
	}
	r.ports.keep(d.note.Port)
	r.attend(d, spec, drained, func() {})
	return nil
}

// takeRemains adopts a dyno that has ended: its first process wrote down how,
// and left when all output had been read; or the kernel did, for its memory.
func (r *Runner) takeRemains(d *instance, spec dyno.Spec) error {
	d.proc = nil
	if _, ok := d.home.Ended(); !ok && (d.group == nil || !d.group.Exhausted()) {
		return errors.New("it was killed")
	}
	if _, err := r.cfg.Procs.Sweep(procName(spec.ID)); err != nil {
		return err
	}
	r.ports.keep(d.note.Port)
	r.mu.Lock()
	d.up = true
	r.mu.Unlock()
	r.end(d)
	return nil
}

// task is what the dyno's first process is to do.
func (r *Runner) task(h *host, d *instance, spec dyno.Spec) pid1.Task {
	task := pid1.Task{Command: spec.Command, Dir: d.home.Work, Exit: d.home.Exit, TTY: spec.TTY != nil}
	if spec.TTY == nil {
		task.Output = d.home.Out
	}
	tmp, path := d.home.Tmp, r.cfg.Path
	if own := spec.Env["PATH"]; spec.Dir != "" && own != "" {
		path = own // a builder's, not an app's
	}
	if h.contained == nil {
		tmp = "/tmp"
		task.UID, task.Sandbox = spec.UID, h.sandbox(d, spec, path)
		if spec.Dir == "" {
			task.Dir = "/app"
		}
	}
	if h.userns && h.groups == nil && spec.Limits.Processes > 0 {
		task.Processes = spec.Limits.Processes + pid1.Threads
	}
	task.Env = []string{"PATH=" + r.cfg.Path, "TMPDIR=" + tmp}
	for name, value := range spec.Env {
		task.Env = append(task.Env, name+"="+value)
	}
	if d.note.Port != 0 {
		task.Env = append(task.Env, fmt.Sprintf("PORT=%d", d.note.Port))
	}
	task.Env = append(task.Env, "HOME="+task.Dir) // the last of a name counts
	return task
}

// checkEnv finds what an environment cannot hold.
func checkEnv(env map[string]string) error {
	for name, value := range env {
		if name == "" || strings.ContainsAny(name, "=\x00") || strings.Contains(value, "\x00") || !utf8.ValidString(name+value) {
			return fmt.Errorf("its environment cannot have the variable %q with its value: names have no = in them, and both are text without NUL", name)
		}
	}
	return nil
}
