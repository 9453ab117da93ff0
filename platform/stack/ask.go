package stack

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/pkg/stdcopy"
)

// removal is how long the end of a container may take.
const removal = 15 * time.Second

// Ask runs a script of the shell in the build image, with toolchains as builds
// have them, and returns what it prints. The container has no network, and is
// gone afterwards.
func (s *Stack) Ask(ctx context.Context, toolchains []Mount, script string) (_ string, err error) {
	host := &container.HostConfig{NetworkMode: "none"}
	for _, m := range toolchains {
		host.Mounts = append(host.Mounts, mount.Mount{Type: mount.TypeBind, Source: m.From, Target: m.To, ReadOnly: true})
	}
	made, err := s.engine.ContainerCreate(ctx, &container.Config{
		Image: s.Images().Build, Cmd: []string{"sh", "-c", script}, Labels: s.engine.Labels(),
	}, host, nil, nil, "")
	if err != nil {
		return "", fmt.Errorf("stack image: %w", err)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), removal)
		defer cancel()
		err = errors.Join(err, s.engine.ContainerRemove(ctx, made.ID, container.RemoveOptions{Force: true, RemoveVolumes: true}))
	}()
	ended, failed := s.engine.ContainerWait(ctx, made.ID, container.WaitConditionNextExit)
	if err := s.engine.ContainerStart(ctx, made.ID, container.StartOptions{}); err != nil {
		return "", fmt.Errorf("stack image: %w", err)
	}
	select {
	case <-ended:
	case err := <-failed:
		return "", fmt.Errorf("stack image: %w", err)
	}
	stream, err := s.engine.ContainerLogs(ctx, made.ID, container.LogsOptions{ShowStdout: true, ShowStderr: true})
	if err != nil {
		return "", fmt.Errorf("stack image: %w", err)
	}
	defer stream.Close()
	var out bytes.Buffer
	_, err = stdcopy.StdCopy(&out, &out, stream)
	return out.String(), err
}
