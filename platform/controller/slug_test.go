package controller_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"niwa/platform"
	"niwa/platform/controller"
	"niwa/platform/dyno"
	"niwa/platform/store"
)

// deployImages releases a slug of images.
func (f *fixture) deployImages(t *testing.T, app platform.App, types map[string]string, images map[string]platform.Image) platform.Slug {
	t.Helper()
	at := time.Now().UTC().Truncate(time.Microsecond)
	slug := platform.Slug{ID: uuid.NewString(), AppID: app.ID, Stack: platform.ContainerStack, ProcessTypes: types, Images: images, CreatedAt: at, UpdatedAt: at}
	if err := f.store.Update(t.Context(), func(tx *store.Tx) error { return tx.InsertSlug(slug) }); err != nil {
		t.Fatal(err)
	}
	if _, err := f.ReleaseSlug(t.Context(), app.ID, slug.ID, "Deploy"); err != nil {
		t.Fatal(err)
	}
	return slug
}

// recorder is a runner that runs anything, and remembers what it was given.
type recorder struct {
	*fakeRunner
	mu    sync.Mutex
	specs []dyno.Spec
}

func (r *recorder) Start(ctx context.Context, spec dyno.Spec) (string, error) {
	r.mu.Lock()
	r.specs = append(r.specs, spec)
	r.mu.Unlock()
	if spec.Image != "" && !strings.HasPrefix(spec.Command, "exit ") {
		spec.Command = "wait"
	}
	return r.fakeRunner.Start(ctx, spec)
}

// first waits for the first dyno of a name.
func (r *recorder) first(t *testing.T, name string) dyno.Spec {
	t.Helper()
	var found dyno.Spec
	await(t, name, func() string {
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, spec := range r.specs {
			if strings.HasPrefix(spec.Env["DYNO"], name) {
				found = spec
				return name
			}
		}
		return ""
	})
	return found
}

// newRecorded is a fixture whose runner is a recorder.
func newRecorded(t *testing.T) (*fixture, *recorder) {
	t.Helper()
	r := &recorder{}
	f := open(t, t.TempDir(), func(cfg *controller.Config) {
		r.fakeRunner = &fakeRunner{dynos: map[string]*fakeDyno{}}
		cfg.Runner = r
	})
	if err := f.EnsureAccount(t.Context(), "gardener@localhost", strings.Repeat("t", 40)); err != nil {
		t.Fatal(err)
	}
	return f, r
}

func TestDynosOfTheContainerStackRunTheImageOfTheirType(t *testing.T) {
	f, runner := newRecorded(t)
	app := f.app(t, "garden")
	f.deployImages(t, app, map[string]string{"web": "/app", "worker": "bin/work", "release": "exit 0"}, map[string]platform.Image{
		"web": {ID: "sha256:web"}, "worker": {ID: "sha256:worker", Command: "bin/work"}, "release": {ID: "sha256:worker", Command: "exit 0"},
	})
	runner.first(t, "web.1")
	one := "1"
	if _, err := f.UpdateFormation(t.Context(), app.ID, []controller.FormationUpdate{{Type: "worker", Quantity: &one}}); err != nil {
		t.Fatal(err)
	}
	got := map[string][]string{}
	for _, name := range []string{"release.", "web.1", "worker.1"} {
		spec := runner.first(t, name)
		got[name] = []string{spec.Slug, spec.Image, spec.Command}
	}
	want := map[string][]string{
		"release.": {"", "sha256:worker", "exit 0"}, "web.1": {"", "sha256:web", ""}, "worker.1": {"", "sha256:worker", "bin/work"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestAOneOffDynoOfTheContainerStackRunsTheImageThatWasMeant(t *testing.T) {
	f, runner := newRecorded(t)
	app := f.app(t, "garden")
	f.deployImages(t, app, map[string]string{"web": "/app", "worker": "/app"}, map[string]platform.Image{
		"web": {ID: "sha256:web"}, "worker": {ID: "sha256:worker"},
	})
	runner.first(t, "web.1")
	for name, test := range map[string]struct {
		run            controller.RunRequest
		image, command string
	}{
		"a command runs in the web image":        {controller.RunRequest{Command: "ls"}, "sha256:web", "ls"},
		"a type is run as it is in its dynos":    {controller.RunRequest{Command: "worker"}, "sha256:worker", ""},
		"a command runs in the image of a type":  {controller.RunRequest{Command: "ls", Type: "worker"}, "sha256:worker", "ls"},
		"an unknown type runs in the web image":  {controller.RunRequest{Command: "ls", Type: "clock"}, "sha256:web", "ls"},
		"a type's command means its own program": {controller.RunRequest{Command: "/app", Type: "worker"}, "sha256:worker", ""},
	} {
		t.Run(name, func(t *testing.T) {
			d, err := f.Run(t.Context(), app.ID, test.run)
			if err != nil {
				t.Fatal(err)
			}
			if spec := runner.first(t, d.Name); spec.Image != test.image || spec.Command != test.command {
				t.Errorf("runs %q in %s, want %q in %s", spec.Command, spec.Image, test.command, test.image)
			}
		})
	}
}
