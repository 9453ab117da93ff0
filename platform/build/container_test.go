package build

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"niwa/platform"
	"niwa/platform/build/image"
	"niwa/platform/build/image/imagetest"
	"niwa/platform/build/manifest"
)

// newYard is a bench for the container stack; its images go with the test.
func newYard(t *testing.T, change func(*Config)) (*bench, *image.Builder) {
	t.Helper()
	images := image.New(imagetest.Engine(t))
	b := newBench(t, func(cfg *Config) {
		cfg.Images = images
		if change != nil {
			change(cfg)
		}
	})
	t.Cleanup(func() {
		nobody := func() (apps, builds map[string]bool, err error) { return nil, nil, nil }
		if err := b.SweepImages(context.Background(), nobody); err != nil {
			t.Error(err)
		}
		if left, err := images.List(context.Background()); err != nil || len(left) > 0 {
			t.Errorf("left behind: %v, %v", left, err)
		}
	})
	return b, images
}

// push asks for a build on the container stack.
func (b *bench) push(files ...entry) Request {
	req := b.request(tarOf(b.t, files...))
	req.Stack = platform.ContainerStack
	return req
}

// finished lists the builds that have images.
func finished(t *testing.T, images *image.Builder) (builds []string) {
	t.Helper()
	all, err := images.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, made := range all {
		if made.Build != "" && !slices.Contains(builds, made.Build) {
			builds = append(builds, made.Build)
		}
	}
	return builds
}

const stages = "FROM scratch AS base\nCMD [\"/base\", \"--all\"]\nFROM scratch\nARG COLOUR\nENV COLOUR=$COLOUR\nCMD [\"/web\"]\n"

func TestAManifestBecomesImagesAndProcessTypes(t *testing.T) {
	b, images := newYard(t, nil)
	req := b.push(entry{name: "heroku.yml", text: `
setup:
  addons: [{plan: heroku-redis, as: CACHE}]
  config: {GREETING: hello}
build:
  docker:
    web: Dockerfile
    again: Dockerfile
    worker: {dockerfile: jobs/Dockerfile, target: base}
    tools: tools/Dockerfile
  config: {COLOUR: green}
release: {command: [/migrate], image: tools}
run:
  worker: /work hard
  clock: {command: /clock, image: tools}
`}, entry{name: "Dockerfile", text: stages}, entry{name: "jobs/Dockerfile", text: stages}, entry{name: "tools/Dockerfile", text: "FROM scratch\nENV A=1\n"})
	result, err := b.Build(t.Context(), req)
	if err != nil {
		t.Fatalf("%v\n%s", err, b.last)
	}
	b.nothingLeft()
	b.last.has(t, "-----> Building on the container stack\n", "=== Fetching app code\n", "=== Building again (Dockerfile)\n", "=== Building tools (tools/Dockerfile)\n",
		"Step 1/", "=== Building worker (jobs/Dockerfile)\n", "       heroku.yml declares types -> again, clock, release, web, worker\n")
	if strings.Contains(b.last.String(), "=== Building web") {
		t.Error("one Dockerfile was built twice")
	}
	want := map[string]string{"web": "/web", "again": "/web", "worker": "/work hard", "clock": "/clock", "release": "/migrate"}
	if diff := cmp.Diff(want, result.ProcessTypes); diff != "" {
		t.Error(diff)
	}
	commands := map[string]string{}
	for name, i := range result.Images {
		commands[name] = i.Command
	}
	if diff := cmp.Diff(map[string]string{"web": "", "again": "", "worker": "/work hard", "clock": "/clock", "release": "/migrate"}, commands); diff != "" {
		t.Error(diff)
	}
	if i := result.Images; i["web"].ID != i["again"].ID || i["clock"].ID != i["release"].ID || i["web"].ID == i["worker"].ID || i["worker"].ID == i["clock"].ID {
		t.Errorf("images are %v", i)
	}
	if diff := cmp.Diff([]manifest.Addon{{Plan: "heroku-redis", As: "CACHE"}}, result.Setup); diff != "" || result.Config["GREETING"] != "hello" || result.Checksum != "" {
		t.Errorf("result is %+v", result)
	}
	if diff := cmp.Diff([]string{req.ID}, finished(t, images)); diff != "" {
		t.Error(diff)
	}
	known := map[string]bool{b.app: true}
	if err := b.SweepImages(t.Context(), func() (apps, builds map[string]bool, err error) { return known, map[string]bool{req.ID: true}, nil }); err != nil {
		t.Fatal(err)
	}
	if len(finished(t, images)) != 1 {
		t.Error("images that somebody knows were swept away")
	}
	if err := b.Discard(t.Context(), req.ID); err != nil || len(finished(t, images)) != 0 {
		t.Errorf("images that came to nothing are there: %v", err)
	}
}

func TestADockerfileAloneIsTheWebProcess(t *testing.T) {
	b, _ := newYard(t, nil)
	result, err := b.Build(t.Context(), b.push(entry{name: "Dockerfile", text: stages}, entry{name: "Procfile", text: "web: ignored"}))
	if err != nil {
		t.Fatalf("%v\n%s", err, b.last)
	}
	if diff := cmp.Diff(map[string]string{"web": "/web"}, result.ProcessTypes); diff != "" {
		t.Error(diff)
	}
}

func TestAPushThatMakesNoImagesIsRejectedAndLeavesNone(t *testing.T) {
	b, images := newYard(t, nil)
	good := entry{name: "Dockerfile", text: stages}
	for name, test := range map[string]struct {
		files []entry
		want  string
	}{
		"neither manifest nor Dockerfile": {[]entry{{name: "Procfile", text: "web: x"}}, "Your app does not include a heroku.yml build manifest. To deploy your app, either create a heroku.yml: "},
		"a mistake in the manifest":       {[]entry{good, {name: "heroku.yml", text: "build: {dockr: {web: Dockerfile}}"}}, `heroku.yml has a mistake: line 1: build has no key "dockr"`},
		"a manifest that is a folder":     {[]entry{good, {name: "heroku.yml/x"}}, "heroku.yml cannot be read: it is not a file"},
		"a Dockerfile that is not there":  {[]entry{{name: "heroku.yml", text: "build: {docker: {web: web/Dockerfile}}"}}, "failed to build web (web/Dockerfile): there is no folder web"},
		"nothing to run":                  {[]entry{{name: "Dockerfile", text: "FROM scratch\nENV A=1\n"}}, "there is nothing to run as web: its image has no CMD.\nAdd a CMD to Dockerfile"},
		"nothing to run as one of two": {[]entry{good, {name: "heroku.yml", text: "build: {docker: {web: Dockerfile, worker: w/Dockerfile}}"}, {name: "w/Dockerfile", text: "FROM scratch\nENV A=1\n"}},
			"there is nothing to run as worker: its image has no CMD.\nAdd a CMD to w/Dockerfile"},
		"the second of two fails": {[]entry{good, {name: "heroku.yml", text: "build: {docker: {web: Dockerfile, worker: w/Dockerfile}}"}, {name: "w/Dockerfile", text: "FROM scratch\nCOPY x /\n"}},
			"failed to build worker (w/Dockerfile): COPY failed: "},
	} {
		t.Run(name, func(t *testing.T) {
			b := b.in(t)
			if told := b.reject(b.push(test.files...)); !strings.Contains(told, test.want) {
				t.Errorf("told %q, want %q", told, test.want)
			}
			b.last.has(t, " !     Push failed\n")
			if left := finished(t, images); len(left) > 0 {
				t.Errorf("left images of %v", left)
			}
		})
	}
}

func TestABuildOfImagesHasItsTime(t *testing.T) {
	base := imagetest.Base(t, imagetest.Engine(t))
	b, _ := newYard(t, func(cfg *Config) { cfg.Limits.Time = 3 * time.Second })
	told := b.reject(b.push(entry{name: "Dockerfile", text: "FROM " + base + "\nRUN sleep 1000\n"}))
	if !strings.Contains(told, "timed out building web (Dockerfile) (3s)") {
		t.Errorf("told %q", told)
	}
}

func TestWithoutAnEngineImagesAreRefusedWithWhatToDo(t *testing.T) {
	b := newBench(t, nil)
	told := b.reject(b.push(entry{name: "Dockerfile", text: stages}))
	for _, want := range []string{"niwa up --runtime docker", "niwa doctor", "heroku stack:set heroku-24"} {
		if !strings.Contains(told, want) {
			t.Errorf("told %q, want %s", told, want)
		}
	}
}

func TestADockerfileThatNoBuildpackIsForIsHintedAt(t *testing.T) {
	b := newBench(t, nil)
	told := b.reject(b.request(tarOf(t, entry{name: "Dockerfile", text: stages})))
	if !strings.Contains(told, "it has a Dockerfile; to build that, set its stack: heroku stack:set container") {
		t.Errorf("told %q", told)
	}
}
