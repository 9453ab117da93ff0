package docker_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/google/uuid"

	"niwa/platform/build/image/imagetest"
	"niwa/platform/docker/dockertest"
	"niwa/platform/dyno"
	"niwa/platform/dyno/docker"
)

// small is a dyno of a small image, for engines that have no stack.
func small(t *testing.T, cfg docker.Config, command string) (dyno.Spec, *transcript) {
	t.Helper()
	out := &transcript{}
	return dyno.Spec{ID: uuid.NewString(), App: uuid.NewString(), UID: uid(1), Image: imagetest.Base(t, cfg.Engine), Command: command, Output: out}, out
}

func TestADynoWhoseEngineIsKilledEndsWhenTheEngineSaysSo(t *testing.T) {
	d := dockertest.New(t)
	r, cfg := newRunner(t, withoutStack)
	spec, out := small(t, cfg, "echo up; while :; do echo more; sleep 0.1; done")
	if _, err := r.Start(within(t), spec); err != nil {
		t.Fatal(err)
	}
	out.expect(t, "up\n")
	ended := waiting(t, r, spec.ID)
	d.Kill(t)
	out.reset()
	out.expect(t, "more\n") // it runs on without its engine, and is heard
	select {
	case exit := <-ended:
		t.Errorf("it was said to have ended, as %+v, while it ran", exit)
	default:
	}
	if _, err := r.Memory(within(t), spec.ID); err == nil {
		t.Error("an engine that is not there has measured it")
	}
	d.Start(t)
	if exit := <-ended; exit.Code <= 128 || exit.Exhausted || !exit.Lost {
		t.Errorf("ended as %+v", exit)
	}
}

func TestAnEngineThatHangsHoldsNobodyUpForLong(t *testing.T) {
	d := dockertest.New(t)
	r, cfg := newRunner(t, withoutStack)
	spec, out := small(t, cfg, "trap 'exit 4' TERM; echo up; while :; do sleep 0.1; done")
	if _, err := r.Start(within(t), spec); err != nil {
		t.Fatal(err)
	}
	out.expect(t, "up\n")
	ended := waiting(t, r, spec.ID)
	late := spec
	late.ID = uuid.NewString()

	d.Hang(t)
	soon, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	began := time.Now()
	if _, err := r.Start(soon, late); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > 10*time.Second {
		t.Errorf("after %s start says: %v", time.Since(began), err)
	}
	if err := r.Stop(soon, spec.ID, time.Minute); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("stop: %v", err)
	}
	d.Resume(t)

	if err := r.Stop(within(t), spec.ID, time.Minute); err != nil {
		t.Errorf("stop: %v", err)
	}
	if exit := <-ended; exit != (dyno.Exit{Code: 4}) {
		t.Errorf("ended as %+v", exit)
	}
	// What the engine has made of the start in the end is removed, which
	// nothingLeft looks for.
	out.reset()
	if _, err := r.Start(within(t), late); err != nil {
		t.Errorf("start: %v", err)
	}
	out.expect(t, "up\n")
	if err := r.Stop(within(t), late.ID, 0); err != nil {
		t.Error(err)
	}
	<-waiting(t, r, late.ID)
}

func TestADynoThatIsStoppedAsSoonAsItIsStartedStops(t *testing.T) {
	r, cfg := newRunner(t, withoutStack)
	for range 5 {
		spec, _ := small(t, cfg, "exec sleep 600")
		if _, err := r.Start(within(t), spec); err != nil {
			t.Fatal(err)
		}
		ended := waiting(t, r, spec.ID)
		if err := r.Stop(within(t), spec.ID, time.Hour); err != nil {
			t.Fatal(err)
		}
		if exit := <-ended; exit.Code == 0 {
			t.Errorf("ended as %+v", exit)
		}
	}
}

func TestADynoThatSomebodyRemovesHasEnded(t *testing.T) {
	r, cfg := newRunner(t, withoutStack)
	spec, out := small(t, cfg, "echo up; exec sleep 600")
	if _, err := r.Start(within(t), spec); err != nil {
		t.Fatal(err)
	}
	out.expect(t, "up\n")
	if err := cfg.Engine.ContainerRemove(within(t), "niwa-"+spec.ID, container.RemoveOptions{Force: true}); err != nil {
		t.Fatal(err)
	}
	if exit := <-waiting(t, r, spec.ID); exit != (dyno.Exit{Code: 137, Signal: "SIGKILL"}) {
		t.Errorf("ended as %+v", exit)
	}
}

// derived is an image with an ENTRYPOINT, a CMD, an ENV and a WORKDIR.
func derived(t *testing.T, cfg docker.Config, base, dir string) string {
	t.Helper()
	made, err := cfg.Engine.ContainerCreate(t.Context(), &container.Config{Image: base, Cmd: []string{"true"}, Labels: cfg.Engine.Labels()}, nil, nil, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	image, err := cfg.Engine.ContainerCommit(t.Context(), made.ID, container.CommitOptions{Config: &container.Config{
		Entrypoint: []string{"/bin/sh", "-c", "echo args $0 $1"}, Cmd: []string{"one", "two"}, Env: []string{"GREETING=hello", "PATH=/bin"}, WorkingDir: dir,
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := cfg.Engine.ContainerRemove(t.Context(), made.ID, container.RemoveOptions{}); err != nil {
		t.Fatal(err)
	}
	return image.ID
}

func TestAnImageIsRunAsItSays(t *testing.T) {
	r, cfg := newRunner(t, withoutStack)
	for name, tt := range map[string]struct{ command, want string }{
		"its own entrypoint": {"", "args one two\n"},
		"a command":          {"echo $GREETING $PORT; id -u; grep ' / ' /proc/mounts", fmt.Sprintf("hello\n%d\noverlay / overlay rw", max(uid(1), os.Geteuid()))},
	} {
		t.Run(name, func(t *testing.T) {
			spec, out := small(t, cfg, tt.command)
			spec.Image = derived(t, cfg, spec.Image, "/bin")
			if _, err := r.Start(within(t), spec); err != nil {
				t.Fatal(err)
			}
			exit := <-waiting(t, r, spec.ID)
			if got := out.String(); exit.Code != 0 || !strings.HasPrefix(got, tt.want) {
				t.Errorf("ended as %+v with %q", exit, got)
			}
		})
	}
}

func TestADynoThatCannotBeRunSaysWhy(t *testing.T) {
	r, cfg := newRunner(t, withoutStack)
	spec, out := small(t, cfg, "echo up")
	spec.Image = derived(t, cfg, spec.Image, "/root/inside")
	if _, err := r.Start(within(t), spec); err != nil {
		t.Fatal(err)
	}
	exit := <-waiting(t, r, spec.ID)
	if got := out.String(); exit != (dyno.Exit{Code: 125}) || !strings.Contains(got, "/root/inside") {
		t.Errorf("ended as %+v with %q", exit, got)
	}
}
