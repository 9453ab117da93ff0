package docker_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
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
	dynotest.Main(open)
	os.Exit(m.Run())
}

// open opens a platform that is known by its place.
func open(place string) (dynotest.Platform, error) {
	cfg, err := configOf(context.Background(), place)
	if err != nil {
		return dynotest.Platform{}, err
	}
	r, err := docker.New(cfg)
	return dynotest.Platform{Runner: r, Close: func(ctx context.Context) error {
		return errors.Join(r.Close(ctx), cfg.Engine.Close())
	}}, err
}

func configOf(ctx context.Context, place string) (cfg docker.Config, err error) {
	if cfg, err = withoutStack(ctx, place); err != nil {
		return cfg, err
	}
	s, err := stack.New(cfg.Engine, "", func(string, ...any) {})
	if err != nil {
		return cfg, err
	}
	if cfg.Stack, err = s.Ensure(ctx); err != nil {
		return cfg, fmt.Errorf("needs the stack image: %w", err)
	}
	return cfg, nil
}

func withoutStack(ctx context.Context, place string) (cfg docker.Config, err error) {
	cfg.Dir = filepath.Join(place, "dynos")
	if cfg.First, err = pid1.Program(); err != nil {
		return cfg, fmt.Errorf("needs a test program without cgo: %w", err)
	}
	if cfg.Engine, err = engine.Connect(ctx, uuid.NewSHA1(uuid.NameSpaceURL, []byte(place)).String()); err != nil {
		return cfg, fmt.Errorf("needs a running Docker engine: %w", err)
	}
	return cfg, nil
}

// uid is the user of an app: nobody's, where there is a choice.
func uid(app int) int {
	if os.Geteuid() != 0 {
		return 0
	}
	return 61000 + app
}

type configure func(ctx context.Context, place string) (docker.Config, error)

// config is that of a platform of its own, which must have left nothing at the
// end.
func config(t testing.TB, of configure) docker.Config {
	t.Helper()
	cfg, err := of(t.Context(), dynotest.Dir(t))
	if err != nil {
		need.Reason(t, err.Error())
	}
	t.Cleanup(func() {
		nothingLeft(t, cfg)
		cfg.Engine.Close()
	})
	return cfg
}

func newRunner(t testing.TB, of configure) (*docker.Runner, docker.Config) {
	t.Helper()
	cfg := config(t, of)
	r, err := docker.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(within(t)); err != nil {
			t.Error(err)
		}
	})
	return r, cfg
}

func nothingLeft(t testing.TB, cfg docker.Config) {
	t.Helper()
	nothingIn(t, cfg)
	folders, err := os.ReadDir(cfg.Dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) || len(folders) > 0 {
		t.Errorf("folders left: %v, %v", folders, err)
	}
}

func nothingIn(t testing.TB, cfg docker.Config) {
	t.Helper()
	containers, err := cfg.Engine.ContainerList(within(t), container.ListOptions{All: true, Filters: cfg.Engine.Mine()})
	if err != nil || len(containers) > 0 {
		t.Errorf("containers left: %v, %v", containers, err)
	}
	networks, err := cfg.Engine.NetworkList(within(t), network.ListOptions{Filters: cfg.Engine.Mine()})
	if err != nil || len(networks) > 0 {
		t.Errorf("networks left: %v, %v", networks, err)
	}
}

func within(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	t.Cleanup(cancel)
	return ctx
}

func options() dynotest.Options { return dynotest.Options{UID: uid(0)} }

func TestContract(t *testing.T) {
	dynotest.Run(t, func(t *testing.T) dyno.Runner {
		r, _ := newRunner(t, configOf)
		return r
	}, options())
}

func TestDynosOutliveAPlatformThatIsKilled(t *testing.T) {
	config(t, configOf) // or there is no need
	left := func(t *testing.T, place string) {
		cfg, err := configOf(within(t), place)
		if err != nil {
			t.Fatal(err)
		}
		defer cfg.Engine.Close()
		nothingLeft(t, cfg)
	}
	dynotest.Outlive(t, open, left, options())
}

func TestWhatAPlatformOfProcessesHasLeftAsContainersIsRemoved(t *testing.T) {
	r, cfg := newRunner(t, configOf)
	out := &transcript{}
	spec := dyno.Spec{ID: uuid.NewString(), App: uuid.NewString(), UID: uid(1), Slug: dynotest.Slug(t), Command: "echo up; sleep 600", Output: out}
	if _, err := r.Start(within(t), spec); err != nil {
		t.Fatal(err)
	}
	out.expect(t, "up\n")
	if err := docker.Purge(within(t), cfg.Engine); err != nil {
		t.Error(err)
	}
	nothingIn(t, cfg)
	if exit := <-waiting(t, r, spec.ID); exit.Signal != "SIGKILL" {
		t.Errorf("ended as %+v", exit)
	}
}

func BenchmarkStart(b *testing.B) {
	r, _ := newRunner(b, configOf)
	dynotest.BenchmarkStart(b, r, options())
}

// transcript is what a dyno has written.
type transcript struct {
	mu   sync.Mutex
	text strings.Builder
}

func (o *transcript) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *transcript) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

func (o *transcript) reset() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text.Reset()
}

func (o *transcript) expect(t *testing.T, text string) {
	t.Helper()
	for deadline := time.Now().Add(limit); !strings.Contains(o.String(), text); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%q was expected, the output is %q", text, o)
		}
	}
}

// waiting waits for a dyno's end in the background.
func waiting(t *testing.T, r *docker.Runner, id string) <-chan dyno.Exit {
	ended := make(chan dyno.Exit, 1)
	go func() {
		exit, err := r.Wait(within(t), id)
		if err != nil {
			t.Errorf("wait: %v", err)
		}
		ended <- exit
	}()
	return ended
}
