package docker

import (
	"context"
	"fmt"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"

	"niwa/platform/dyno"
	"niwa/platform/dyno/pid1"
)

// Pauses before the engine is asked again.
const (
	firstPause   = 20 * time.Millisecond
	longestPause = time.Second
)

// see sees a dyno to its end, and removes what is left of it.
func (r *Runner) see(d *instance) {
	state, lost, err := r.follow(d)
	close(d.quiet)
	if err != nil {
		return // the runner is being closed, and the dyno goes on
	}
	d.ending.Lock()
	close(d.over)
	d.ending.Unlock()
	<-d.output
	if d.terminal != nil {
		d.terminal.close()
	}
	d.exit = d.ended(state)
	d.exit.Lost = lost && !d.exit.Exhausted
	r.discard(r.ctx, d)
	d.err = d.home.Remove()
	r.networks.leave(d.spec.App)
	r.mu.Lock()
	defer r.mu.Unlock()
	// Its exit can be asked for until a thousand more have ended.
	if r.past = append(r.past, d.spec.ID); len(r.past) > 1000 {
		delete(r.dynos, r.past[0])
		r.past = r.past[1:]
	}
	close(d.done)
}

// follow returns the last state of a dyno's container, once the engine says
// that it has ended. While the engine does not answer, or is not there, that
// is not known; lost says that the dyno ended meanwhile.
func (r *Runner) follow(d *instance) (last container.State, lost bool, err error) {
	exhausted := false
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		last, err := r.look(d)
		if err == nil && last.Running {
			var more bool
			more, err = r.listen(d)
			exhausted = exhausted || more
			pause = firstPause
			if err == nil { // it is said to have ended
				last, err = r.look(d)
			}
		}
		if err == nil && !last.Running {
			last.OOMKilled = last.OOMKilled || exhausted
			return last, lost, nil
		}
		lost = err != nil
		select {
		case <-time.After(pause):
		case <-r.ctx.Done():
			return last, false, r.ctx.Err()
		}
	}
}

// look asks for the state of a dyno's container. One that somebody has removed
// does not run.
func (r *Runner) look(d *instance) (container.State, error) {
	info, err := r.inspect(r.ctx, d.spec.ID)
	if errdefs.IsNotFound(err) {
		return container.State{}, nil
	}
	if err != nil {
		return container.State{}, err
	}
	return *info.State, nil
}

// listen listens to what the engine says of a dyno from its start on, until it
// ends. One that runs out of memory loses a process or two; all of it is
// killed then, as on Heroku.
func (r *Runner) listen(d *instance) (exhausted bool, err error) {
	ctx, cancel := context.WithCancel(r.ctx)
	defer cancel()
	name := containerName(d.spec.ID)
	news, failed := r.cfg.Engine.Events(ctx, events.ListOptions{
		Since:   fmt.Sprintf("%d.%09d", d.started.Unix(), d.started.Nanosecond()),
		Filters: filters.NewArgs(filters.Arg("container", name), filters.Arg("event", "oom"), filters.Arg("event", "die")),
	})
	for {
		select {
		case event := <-news:
			if event.Action == events.ActionDie {
				return exhausted, nil
			}
			exhausted = true
			if err := r.kill(ctx, d, "SIGKILL"); err != nil {
				return exhausted, err
			}
		case err := <-failed:
			return exhausted, err
		}
	}
}

// ended says how a dyno ended: as its first process wrote down, or else that
// process has been killed itself.
func (d *instance) ended(last container.State) dyno.Exit {
	killed := dyno.Exit{Code: 137, Signal: "SIGKILL"}
	if last.OOMKilled {
		killed.Exhausted = true
		return killed
	}
	if exit, ok := d.home.Ended(); ok {
		return exit
	}
	if last.ExitCode == pid1.NotRun {
		return dyno.Exit{Code: pid1.NotRun}
	}
	return killed
}

func (r *Runner) inspect(ctx context.Context, id string) (container.InspectResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	return r.cfg.Engine.ContainerInspect(ctx, containerName(id))
}

// kill sends a signal to a dyno's first process. That it has ended is fine.
func (r *Runner) kill(ctx context.Context, d *instance, signal string) error {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	err := r.cfg.Engine.ContainerKill(ctx, containerName(d.spec.ID), signal)
	if errdefs.IsNotFound(err) || errdefs.IsConflict(err) {
		return nil
	}
	return err
}

// signal is kill until the engine has taken it, or the dyno has ended.
func (r *Runner) signal(ctx context.Context, d *instance, signal string) error {
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		err := r.kill(ctx, d, signal)
		if err == nil {
			return nil
		}
		select {
		case <-d.over:
			return nil
		case <-ctx.Done():
			return fmt.Errorf("%w (%w)", context.Cause(ctx), err)
		case <-time.After(pause):
		}
	}
}
