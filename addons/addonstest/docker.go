package addonstest

import (
	"context"
	"testing"

	"github.com/docker/docker/api/types/container"

	"niwa/addons/engine"
	"niwa/platform/docker"
	"niwa/platform/platformtest/standin"
)

// InDocker makes a suite of the engine docker of one of any other: servers
// run in containers of an image, at an address that other containers reach.
// Kill and Remains look at the container of a task.
func InDocker(t *testing.T, s Suite, image string, task func(id string) string) Suite {
	t.Helper()
	e := standin.Engine(t)
	host, err := e.Gateway(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.Config = engine.Config{
		Choice: engine.Choice{Mode: engine.Docker, Image: image},
		Host:   host,
		Docker: func(context.Context) (*docker.Engine, error) { return e, nil },
	}
	s.Durable = true
	s.Kill = func(t *testing.T, _ *Home, id string) {
		for _, name := range containersOf(t, e, task(id)) {
			if err := e.ContainerKill(t.Context(), name, "SIGKILL"); err != nil {
				t.Fatal(err)
			}
		}
	}
	remains := s.Remains
	s.Remains = func(t *testing.T, h *Home, id string) []string {
		left := remains(t, h, id)
		if task(id) != task("another") {
			left = append(left, containersOf(t, e, task(id))...)
		}
		return left
	}
	t.Cleanup(func() { // after the provider has been closed
		if left := containersOf(t, e, ""); len(left) > 0 {
			t.Errorf("containers are left: %v", left)
		}
	})
	return s
}

// containersOf lists the containers of a platform, or of one of its tasks.
func containersOf(t *testing.T, e *docker.Engine, task string) []string {
	t.Helper()
	mine := e.Mine()
	if task != "" {
		mine = e.Mine(engine.TaskLabel + "=" + task)
	}
	all, err := e.ContainerList(context.WithoutCancel(t.Context()), container.ListOptions{All: true, Filters: mine})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, c := range all {
		names = append(names, c.Names...)
	}
	return names
}
