package engine

import (
	"bytes"
	"context"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"

	"niwa/platform/docker"
)

const (
	// stopGrace is what a container has that an earlier niwa left.
	stopGrace = 20 * time.Second
	// answerTime is how long an engine may take to do a small thing.
	answerTime = 30 * time.Second
)

// run is one run of a container.
type run struct {
	engine *docker.Engine
	id     string
	done   chan struct{}
	status int
	gone   context.Context // ends when the container is removed
	remove context.CancelFunc
}

// watch makes a run of a container that is there.
func watch(engine *docker.Engine, id string) *run {
	r := &run{engine: engine, id: id, done: make(chan struct{})}
	r.gone, r.remove = context.WithCancel(context.Background())
	go r.wait()
	return r
}

func (r *run) Done() <-chan struct{} { return r.done }
func (r *run) Status() int           { return r.status }

// wait sees a container to its end. An engine that has gone away says
// nothing of its containers, which may well run on without it, so that is
// waited for.
func (r *run) wait() {
	defer close(r.done)
	for {
		ended, failed := r.engine.ContainerWait(r.gone, r.id, container.WaitConditionNotRunning)
		select {
		case end := <-ended:
			r.status = int(end.StatusCode)
			return
		case err := <-failed:
			if r.gone.Err() != nil || errdefs.IsNotFound(err) {
				return
			}
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-r.gone.Done():
			return
		}
	}
}

func (r *run) Tail() string {
	ctx, cancel := context.WithTimeout(context.Background(), answerTime)
	defer cancel()
	stream, err := r.engine.ContainerLogs(ctx, r.id, container.LogsOptions{ShowStdout: true, ShowStderr: true, Tail: "5"})
	if err != nil {
		return err.Error()
	}
	defer stream.Close()
	var out bytes.Buffer
	if _, err := stdcopy.StdCopy(&out, &out, stream); err != nil {
		return err.Error()
	}
	return lastLines(out.Bytes())
}

func (r *run) Stop(ctx context.Context, grace time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, grace+answerTime)
	defer cancel()
	seconds := int(grace.Seconds())
	err := r.engine.ContainerStop(ctx, r.id, container.StopOptions{Timeout: &seconds})
	if err == nil || errdefs.IsNotFound(err) {
		err = r.engine.ContainerRemove(ctx, r.id, container.RemoveOptions{Force: true, RemoveVolumes: true})
	}
	if err != nil && !errdefs.IsNotFound(err) {
		return err
	}
	r.remove()
	<-r.done
	return nil
}
