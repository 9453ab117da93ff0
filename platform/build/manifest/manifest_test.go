package manifest

import (
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// whole has every key there is.
const whole = `
setup:
  addons:
    - plan: heroku-postgresql:essential-0
      as: DATABASE
    - plan: heroku-redis
  config: &common
    S3_BUCKET: my-example-bucket
    THREADS: 010
build:
  docker:
    web: Dockerfile
    worker:
      dockerfile: worker/./Dockerfile
      target: production
  config:
    <<: *common
    RAILS_ENV: development
release:
  image: worker
  command:
    - rake db:migrate
    - ./notify.sh
run:
  web: bundle exec puma -C config/puma.rb
  asset-syncer:
    command:
      - python asset-syncer.py
    image: worker
  clock:
    command: bin/clock
`

func TestAManifestIsReadWithItsDefaults(t *testing.T) {
	got, err := Parse([]byte(whole))
	if err != nil {
		t.Fatal(err)
	}
	want := Manifest{
		Addons: []Addon{{"heroku-postgresql:essential-0", "DATABASE"}, {"heroku-redis", ""}},
		Config: map[string]string{"S3_BUCKET": "my-example-bucket", "THREADS": "010"},
		Images: map[string]Dockerfile{"web": {Path: "Dockerfile"}, "worker": {"worker/Dockerfile", "production"}},
		Args:   map[string]string{"S3_BUCKET": "my-example-bucket", "THREADS": "010", "RAILS_ENV": "development"},
		Processes: map[string]Process{
			"web":          {Image: "web", Command: "bundle exec puma -C config/puma.rb"},
			"worker":       {Image: "worker", Implied: true},
			"release":      {Image: "worker", Command: "rake db:migrate && ./notify.sh"},
			"asset-syncer": {Image: "worker", Command: "python asset-syncer.py"},
			"clock":        {Image: "web", Command: "bin/clock"},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestAnAppOfWorkersNeedsNoWeb(t *testing.T) {
	got, err := Parse([]byte("build:\n  docker:\n    worker: bot/Dockerfile\nrun:\n  worker: ./bot\n"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]Process{"worker": {Image: "worker", Command: "./bot"}}, got.Processes); diff != "" {
		t.Error(diff)
	}
}

func TestAManifestIsRefusedInWordsThatHelp(t *testing.T) {
	const docker = "build: {docker: {web: Dockerfile}}\n"
	for name, test := range map[string]struct{ text, want string }{
		"nothing":                    {"", "it is empty"},
		"comments alone":             {"# to do\n", "it is empty"},
		"no images":                  {"run: {web: ./app}", "build.docker is missing"},
		"two documents":              {docker + "---\n" + docker, "more than one document"},
		"too much":                   {docker + "#" + strings.Repeat("x", MaxSize), "more than 64 KB"},
		"no YAML":                    {"build: [", "line 1: "},
		"an unknown section":         {docker + "deploy: now", `line 2: heroku.yml has no key "deploy"; it has build, release, run, setup`},
		"an unknown key":             {"build: {docker: {web: {dockerfile: D, targett: x}}}", `build.docker.web has no key "targett"; it has dockerfile, target`},
		"a key in a list":            {docker + "setup: {addons: [{plan: a, name: b}]}", `setup.addons[0] has no key "name"`},
		"a merged unknown key":       {"build: {docker: {web: {<<: {dockerfile: D, targett: x}}}}", `has no key "targett"`},
		"an escape in a key":         {docker + "run: {\"\\e[2J\": {cmd: x}}", `run."\x1b[2J" has no key "cmd"`},
		"a key twice":                {"build:\n  docker:\n    web: a\n    web: b", `mapping key "web" already defined`},
		"a list for a path":          {"build: {docker: {web: [a]}}", "line 1: a list cannot stand here"},
		"a mapping for a value":      {docker + "setup: {config: {A: {b: c}}}", "line 2: a mapping cannot stand here"},
		"a value for a section":      {"build: yes", "line 1: a single value cannot stand here"},
		"a path up":                  {"build: {docker: {web: ../Dockerfile}}", "leads out of the app"},
		"a path up and down":         {"build: {docker: {web: a/../../b/Dockerfile}}", "leads out of the app"},
		"an absolute path":           {"build: {docker: {web: /etc/Dockerfile}}", "leads out of the app"},
		"a folder":                   {"build: {docker: {web: a/..}}", "is not the path of a Dockerfile"},
		"a zero byte in a path":      {`build: {docker: {web: "a\0b"}}`, "is not the path of a Dockerfile"},
		"no path":                    {"build: {docker: {web: {target: x}}}", "names no Dockerfile"},
		"a malformed stage":          {"build: {docker: {web: {dockerfile: D, target: '-x'}}}", "is not the name of a stage"},
		"a malformed type":           {"build: {docker: {'w b': Dockerfile}}", `"w b" is not the name of a process type`},
		"a malformed argument":       {"build: {docker: {web: D}, config: {'A=B': c}}", `build.config: "A=B" is no name`},
		"a zero byte in a config":    {docker + `setup: {config: {A: "\0"}}`, "setup.config.A: it has a zero byte"},
		"a zero byte in a command":   {docker + `run: {web: "a\0"}`, "run.web: the command has a zero byte"},
		"a malformed plan":           {docker + "setup: {addons: [{plan: A B}]}", `setup.addons[0]: plan: "A B" is no plan`},
		"a malformed attachment":     {docker + "setup: {addons: [{plan: a, as: 'b-c'}]}", `as: "b-c" is no name`},
		"an image that is not there": {docker + "run: {worker: {command: x, image: base}}", `run.worker: the image "base" is not in build.docker, which has web`},
		"no image to run":            {"build: {docker: {worker: D}}\nrun: {clock: x}", "run.clock: it names no image"},
		"a release without command":  {docker + "release: {image: web}", "release: it has no command"},
		"a release among processes":  {docker + "run: {release: x}", "a section of its own"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse([]byte(test.text))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got  %v\nwant %s", err, test.want)
			}
		})
	}
}

func TestAliasesCannotBlowUp(t *testing.T) {
	for name, text := range map[string]string{
		"in values": bomb("build: {docker: {web: Dockerfile}}\nsetup: {config: {A: *i}}\n"),
		"in lists":  bomb("build: {docker: {web: Dockerfile}}\nrun: {web: {command: *i}}\n"),
		"merged":    "a: &a {x: &b {<<: *a}}\nbuild: {docker: *a}\n",
		"of itself": "build: &b {docker: *b}\n",
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Parse([]byte(text)); err == nil {
				t.Error("it was taken")
			}
		})
	}
}

// bomb is a list of lists of lists, to be unfolded below a known key.
func bomb(use string) string {
	text := "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
	for c := 'b'; c <= 'i'; c++ {
		text += string(c) + ": &" + string(c) + " [" + strings.Repeat("*"+string(c-1)+", ", 10) + "]\n"
	}
	return text + use
}

func FuzzWhatIsTakenCanBeBuiltAndRun(f *testing.F) {
	f.Add(whole)
	f.Add("build: {docker: {web: Dockerfile}}")
	f.Add("a: &a {<<: *a}\nbuild: {docker: {web: {<<: [*a, {dockerfile: D}]}}}")
	f.Add(bomb("run: *i"))
	f.Fuzz(func(t *testing.T, text string) {
		m, err := Parse([]byte(text))
		if err != nil {
			if strings.ContainsAny(err.Error(), "\x1b\x00\r") {
				t.Errorf("an error has control characters: %q", err)
			}
			return
		}
		if len(m.Images) == 0 || len(m.Processes) == 0 {
			t.Error("nothing to build or to run")
		}
		for name, d := range m.Images {
			if d.Path != path.Clean(d.Path) || !filepath.IsLocal(d.Path) || d.Path == "." {
				t.Errorf("image %s: path %q", name, d.Path)
			}
		}
		for name, p := range m.Processes {
			if _, built := m.Images[p.Image]; !built || !typeName.MatchString(name) || strings.Contains(p.Command, "\x00") {
				t.Errorf("process %q: %+v", name, p)
			}
		}
	})
}
