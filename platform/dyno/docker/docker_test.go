package docker_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"github.com/google/uuid"

	engine "niwa/platform/docker"
	"niwa/platform/dyno"
	"niwa/platform/dyno/docker"
	"niwa/platform/dyno/dynotest"
	"niwa/platform/dyno/pid1"
	"niwa/platform/platformtest/need"
	"niwa/platform/stack"
)

const limit = 60 * time.Second

func TestMain(m *testing.M) {
	pid1.Main()
	os.Exit(m.Run())
}

// uid is the user of an app: nobody's, where there is a choice.
func uid(app int) int {
	if os.Geteuid() != 0 {
		return 0
	}
	return 61000 + app
}

// config is that of a runner of a platform of its own.
func config(t *testing.T) docker.Config {
	t.Helper()
	first, err := pid1.Program()
	if err != nil {
		need.Reason(t, "needs a test program without cgo: "+err.Error())
	}
	e, err := engine.Connect(t.Context(), uuid.NewString())
	if err != nil {
		need.Reason(t, "needs a running Docker engine: "+err.Error())
	}
	t.Cleanup(func() { e.Close() })
	s, err := stack.New(e, "", t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	images, err := s.Ensure(t.Context())
	if err != nil {
		need.Reason(t, "needs the stack image: "+err.Error())
	}
	return docker.Config{Engine: e, Dir: filepath.Join(dynotest.Dir(t), "dynos"), First: first, Stack: images}
}

// newRunner returns a runner that must have left nothing at the end.
func newRunner(t *testing.T) (*docker.Runner, docker.Config) {
	t.Helper()
	cfg := config(t)
	r, err := docker.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(within(t)); err != nil {
			t.Error(err)
		}
		nothingLeft(t, cfg)
	})
	return r, cfg
}

func nothingLeft(t *testing.T, cfg docker.Config) {
	t.Helper()
	containers, err := cfg.Engine.ContainerList(within(t), container.ListOptions{All: true, Filters: cfg.Engine.Mine()})
	if err != nil || len(containers) > 0 {
		t.Errorf("containers left: %v, %v", containers, err)
	}
	networks, err := cfg.Engine.NetworkList(within(t), network.ListOptions{Filters: cfg.Engine.Mine()})
	if err != nil || len(networks) > 0 {
		t.Errorf("networks left: %v, %v", networks, err)
	}
	folders, err := os.ReadDir(cfg.Dir)
	if err != nil || len(folders) > 0 {
		t.Errorf("folders left: %v, %v", folders, err)
	}
}

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	t.Cleanup(cancel)
	return ctx
}

func TestContract(t *testing.T) {
	dynotest.Run(t, func(t *testing.T) dyno.Runner {
		r, _ := newRunner(t)
		return r
	}, dynotest.Options{UID: uid(0)})
}
