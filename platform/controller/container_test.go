package controller_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"niwa/platform"
	"niwa/platform/build"
	"niwa/platform/build/image"
	"niwa/platform/build/image/imagetest"
	"niwa/platform/controller"
)

// newYard is a fixture whose builds make images, which go with the test.
func newYard(t *testing.T) (*fixture, *recorder, *image.Builder) {
	t.Helper()
	images := image.New(imagetest.Engine(t))
	t.Cleanup(func() {
		all, err := images.List(context.Background())
		if err == nil {
			err = images.Remove(context.Background(), all...)
		}
		if err != nil {
			t.Error(err)
		}
	})
	r := &recorder{fakeRunner: &fakeRunner{dynos: map[string]*fakeDyno{}}}
	dir := t.TempDir()
	f := open(t, dir, func(cfg *controller.Config) {
		cfg.Runner = r
		cfg.Builder = build.New(build.Config{Runner: r, Images: images, Dir: filepath.Join(dir, "builds"), CacheDir: filepath.Join(dir, "cache")})
	})
	if err := f.EnsureAccount(t.Context(), "gardener@localhost", strings.Repeat("t", 40)); err != nil {
		t.Fatal(err)
	}
	return f, r, images
}

// push pushes files to an app of the container stack.
func (f *fixture) push(t *testing.T, app platform.App, files map[string]string) (said string, err error) {
	t.Helper()
	var out bytes.Buffer
	err = f.Push(t.Context(), controller.PushRequest{
		AppID: app.ID, Commit: "0123456789", Description: "A commit", RepoSize: func() int64 { return 1 },
		Source: func(_ context.Context, w io.Writer) error {
			archive := tar.NewWriter(w)
			for name, text := range files {
				err := archive.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(text))})
				if _, writeErr := io.WriteString(archive, text); err != nil || writeErr != nil {
					return errors.Join(err, writeErr)
				}
			}
			return archive.Close()
		},
	}, &out)
	return out.String(), err
}

const manifested = `
setup:
  addons:
    - {plan: "slow:small", as: DB}
    - plan: quick
  config: {GREETING: hello}
build:
  docker: {web: Dockerfile}
release:
  command: exit 0
`

func TestAFirstPushSetsTheAppUpAsItsManifestSays(t *testing.T) {
	f, runner, images := newYard(t)
	app, err := f.CreateApp(t.Context(), "garden", platform.ContainerStack)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.CreateAddon(t.Context(), app.ID, controller.AddonRequest{Plan: "quick:large"}); err != nil {
		t.Fatal(err)
	}
	files := map[string]string{"heroku.yml": manifested, "Dockerfile": "FROM scratch\nCMD [\"/one\"]\n"}
	said, err := f.push(t, app, files)
	if err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	if !strings.Contains(said, "=== Adding slow:small\n") || strings.Contains(said, "=== Adding quick") {
		t.Errorf("what is missing is added, and nothing else; said %s", said)
	}
	env := runner.first(t, "release.").Env
	if env["GREETING"] != "hello" || env["DB_URL"] == "" || env["QUICK_URL"] == "" {
		t.Errorf("the release phase has %v", env)
	}
	one := runner.first(t, "web.1")
	if app, err = f.App(t.Context(), app.ID); err != nil || app.Stack != platform.ContainerStack || app.SlugSize == nil || app.BuildpackProvidedDescription != nil {
		t.Errorf("app is %+v, %v", app, err)
	}
	builds, err := f.Builds(t.Context(), app.ID)
	if err != nil || len(builds) != 1 || builds[0].Stack != platform.ContainerStack || len(builds[0].Buildpacks) != 0 {
		t.Errorf("builds are %+v, %v", builds, err)
	}

	files["Dockerfile"] = "FROM scratch\nCMD [\"/two\"]\n"
	files["heroku.yml"] = strings.Replace(manifested, "hello", "goodbye", 1)
	if said, err = f.push(t, app, files); err != nil || strings.Contains(said, "=== Adding") {
		t.Errorf("a second push sets up again: %v\n%s", err, said)
	}
	if config, err := f.ConfigVars(t.Context(), app.ID); err != nil || config["GREETING"] != "hello" {
		t.Errorf("config is %v, %v", config, err)
	}
	f.formationIs(t, app, "release exit 0, web /two")
	if _, err := f.Rollback(t.Context(), app.ID, f.firstSlug(t, app)); err != nil {
		t.Fatal(err)
	}
	f.formationIs(t, app, "release exit 0, web /one")
	f.dynosAreOf(t, runner, one.Image)

	if _, err := f.DestroyApp(t.Context(), app.ID); err != nil {
		t.Fatal(err)
	}
	await(t, "no images", func() string {
		left, err := images.List(t.Context())
		if err != nil || len(left) > 0 {
			return "some images"
		}
		return "no images"
	})
}

func (f *fixture) formationIs(t *testing.T, app platform.App, want string) {
	t.Helper()
	await(t, want, func() string {
		all, err := f.Formation(t.Context(), app.ID)
		if err != nil {
			return err.Error()
		}
		var got []string
		for _, p := range all {
			got = append(got, p.Type+" "+p.Command)
		}
		return strings.Join(got, ", ")
	})
}

// firstSlug is the version of the first release that has something to run.
func (f *fixture) firstSlug(t *testing.T, app platform.App) string {
	t.Helper()
	all, err := f.Releases(t.Context(), app.ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range all {
		if r.SlugID != nil {
			return r.ID
		}
	}
	t.Fatal("nothing was released")
	return ""
}

// dynosAreOf waits until the newest web dyno is of an image.
func (f *fixture) dynosAreOf(t *testing.T, r *recorder, image string) {
	t.Helper()
	await(t, image, func() string {
		r.mu.Lock()
		defer r.mu.Unlock()
		last := ""
		for _, spec := range r.specs {
			if spec.Env["DYNO"] == "web.1" {
				last = spec.Image
			}
		}
		return last
	})
}

func TestAPushWhoseSetupFailsReleasesNothingAndLeavesNoImage(t *testing.T) {
	f, _, images := newYard(t)
	app, err := f.CreateApp(t.Context(), "garden", platform.ContainerStack)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{
		"heroku.yml": "setup: {addons: [{plan: mongolab}]}\nbuild: {docker: {web: Dockerfile}}\n",
		"Dockerfile": "FROM scratch\nCMD [\"/one\"]\n",
	}
	said, err := f.push(t, app, files)
	if !errors.Is(err, controller.ErrShown) || !strings.Contains(said, "\n !     Couldn't find either the add-on service or the add-on plan of \"mongolab\".\n") {
		t.Errorf("%v\n%s", err, said)
	}
	f.provider.mu.Lock()
	f.provider.fail = platform.Invalid("There is no room.")
	f.provider.mu.Unlock()
	files["heroku.yml"] = manifested
	if said, err = f.push(t, app, files); !errors.Is(err, controller.ErrShown) || !strings.Contains(said, "There is no room.") {
		t.Errorf("%v\n%s", err, said)
	}
	all, err := images.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, made := range all {
		if made.Build != "" {
			t.Errorf("an image of a failed build is left: %v", made)
		}
	}
	if releases, err := f.Releases(t.Context(), app.ID); err != nil || len(releases) != 1 {
		t.Errorf("releases are %v, %v", releases, err)
	}
	builds, err := f.Builds(t.Context(), app.ID)
	if err != nil {
		t.Fatal(err)
	}
	var statuses []string
	for _, b := range builds {
		statuses = append(statuses, b.Status)
	}
	if diff := cmp.Diff([]string{platform.Failed, platform.Failed}, statuses); diff != "" {
		t.Error(diff)
	}
}

func TestWhatABuildThatWasKilledLeftInTheEngineIsSwept(t *testing.T) {
	f, _, images := newYard(t)
	app := f.app(t, "garden")
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte("FROM scratch AS a\nENV A=1\nFROM scratch\nCMD [\"/app\"]\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	source, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	for _, owner := range []string{app.ID, uuid.NewString()} {
		_, err := images.Build(t.Context(), image.Request{App: owner, Build: uuid.NewString(), Name: "web", Source: source, Dockerfile: "Dockerfile", Output: io.Discard})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	left, err := images.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(left) != 1 || left[0].App != app.ID || left[0].Build != "" {
		t.Errorf("the app's build cache should be left; there is %v", left)
	}
}
