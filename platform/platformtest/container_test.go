package platformtest_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"

	"niwa/platform/build/image/imagetest"
	"niwa/platform/docker"
	"niwa/platform/platformtest"
	"niwa/platform/platformtest/need"
)

const herokuYML = `setup:
  addons:
    - plan: heroku-redis:mini
      as: CACHE
  config:
    SEASON: autumn
build:
  docker:
    web: web/Dockerfile
    worker:
      dockerfile: Dockerfile
      target: worker
  config:
    GREETING: good day
release:
  command:
    - test -n "$CACHE_URL"
    - echo planting in $SEASON
run:
  web: httpd -f -p $PORT -h /www
`

const webDockerfile = `FROM %s
ARG GREETING
RUN mkdir /www && echo "$GREETING" > /www/index.html
COPY . /www/
CMD ["httpd", "-f"]
`

const workerDockerfile = `FROM scratch AS worker
COPY work /work
CMD ["/work", "hard"]
FROM worker
CMD ["/never"]
`

const workerProgram = `package main

import ("fmt"; "os"; "time")

func main() { fmt.Println(os.Getenv("DYNO"), "works", os.Args[1]); time.Sleep(time.Hour) }
`

// TestAnAppOfDockerfilesIsPushedRunRolledBackAndGone drives an app of the
// container stack with the official client: a web process with a shell, a
// worker that is one static program, a release phase and an add-on.
func TestAnAppOfDockerfilesIsPushedRunRolledBackAndGone(t *testing.T) {
	for _, tool := range []string{"heroku", "git", "redis-server"} {
		need.Tool(t, tool)
	}
	engine := imagetest.Engine(t)
	base := imagetest.Base(t, engine)
	t.Cleanup(func() { nothingIn(t, engine) })
	data := platformtest.Dir(t)
	d := &day{platformtest.Up(t, platformtest.Build(t), data, "--runtime", "docker"), platformtest.Dir(t)}
	engine.Platform = platformOf(t, data)

	d.write(t, map[string]string{
		"heroku.yml": herokuYML, "web/Dockerfile": fmt.Sprintf(webDockerfile, base), "web/.dockerignore": "Dockerfile\nsecret*\n",
		"web/secret.txt": "no", "web/about.html": "about", "Dockerfile": workerDockerfile, "main.go": workerProgram,
	})
	compile := d.in(exec.Command("go", "build", "-o", "work", "main.go"))
	compile.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := compile.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	d.commit(t, "init -q -b main")

	change := func(file, text string) func(*testing.T, *day) (string, int) {
		return func(t *testing.T, d *day) (string, int) {
			d.write(t, map[string]string{file: text})
			d.commit(t)
			return push(t, d)
		}
	}
	for _, s := range []step{
		heroku("create pond --manifest --no-remote", `(?s)Creating.*pond.*Adding heroku-redis:mini.*done.*Setting config vars.*done`),
		heroku("apps:destroy pond --confirm pond", `done`),
		heroku("create garden", `garden.git`),
		heroku("stack:set container -a garden", `Setting stack to container... done`),
		{args: []string{"git push heroku main"}, does: push, want: `(?s)remote: === Building web \(web/Dockerfile\).*remote: Step 1/.*remote: === Building worker \(Dockerfile\).*` +
			`heroku.yml declares types -> release, web, worker.*remote: === Adding heroku-redis:mini.*remote: planting in autumn.*deployed to niwa`},
		{args: []string{"# the app answers"}, does: serves("/", "good day"), want: `^good day\n$`},
		{args: []string{"# what .dockerignore names is not in the image"}, does: serves("/secret.txt", "404"), want: `404`},
		heroku("ps:scale worker=1 -a garden", `worker at 1:Standard-1X`),
		{args: []string{"# the worker runs the image's own CMD"}, does: logged("app[worker.1]: worker.1 works hard"), want: `works hard`},
		heroku("ps -a garden", `(?s)web.*httpd -f -p .PORT -h /www.*worker.*/work hard`),
		{args: []string{"run", "-a", "garden", "--", "cat /www/index.html; echo $SEASON"}, want: `good day\s+autumn`},
		{args: []string{"git push heroku main # of another greeting"}, does: change("heroku.yml", strings.Replace(herokuYML, "good day", "good evening", 1)), want: `(?s)Using cache.*deployed to niwa`},
		{args: []string{"# the new image answers"}, does: serves("/", "good evening"), want: `good evening`},
		{args: []string{"git push heroku main # that fails"}, does: change("web/Dockerfile", fmt.Sprintf(webDockerfile, base)+"RUN echo dying && exit 3\n"), exit: 1, want: `(?s)remote: dying.*failed to build web \(web/Dockerfile\): .* returned a non-zero code: 3`},
		heroku("rollback -a garden", `done`),
		{args: []string{"# the old image answers"}, does: serves("/", "good day"), want: `good day`},
		{args: []string{"# two releases have an image for each of two types"}, does: imagesAre(engine, 4)},
		heroku("apps:destroy garden --confirm garden", `done`),
		{args: []string{"# nothing of it is left"}, does: imagesAre(engine, 0)},
	} {
		name := strings.ReplaceAll(strings.Join(s.args, " "), "/", "_")
		if !t.Run(name, func(t *testing.T) {
			output, exit := d.do(t, s)
			if exit != s.exit || !regexp.MustCompile(s.want).MatchString(output) {
				t.Errorf("exit status %d, want %d; output must match %q:\n%s", exit, s.exit, s.want, output)
			}
		}) {
			t.FailNow()
		}
	}
}

// platformOf is the id of the platform in a data directory.
func platformOf(t *testing.T, data string) string {
	t.Helper()
	id, err := os.ReadFile(filepath.Join(data, "id"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(id))
}

func (d *day) write(t *testing.T, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(d.dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// commit commits all there is, after other commands of git.
func (d *day) commit(t *testing.T, before ...string) {
	t.Helper()
	for _, args := range append(before, "add .", "-c user.name=gardener -c user.email=gardener@localhost commit -q -m change") {
		if out, err := d.in(exec.Command("git", strings.Fields(args)...)).CombinedOutput(); err != nil {
			t.Fatalf("git %s: %v\n%s", args, err, out)
		}
	}
}

// serves waits until the app answers with a text, or with a status.
func serves(path, want string) func(*testing.T, *day) (string, int) {
	return func(t *testing.T, d *day) (seen string, _ int) {
		platformtest.Await(t, want, func() (string, bool) {
			resp, body, err := d.Get("garden", path)
			if err != nil {
				return err.Error(), false
			}
			seen = body
			if strings.Contains(resp.Status, want) {
				seen = resp.Status
			}
			return seen, strings.Contains(seen, want)
		})
		return seen, 0
	}
}

// logged waits until the app's log has a text.
func logged(want string) func(*testing.T, *day) (string, int) {
	return func(t *testing.T, d *day) (seen string, _ int) {
		platformtest.Await(t, want, func() (string, bool) {
			seen, _ = d.do(t, heroku("logs -a garden -n 500", ""))
			return seen, strings.Contains(seen, want)
		})
		return seen, 0
	}
}

// imagesAre waits until the platform has so many finished images in the engine
// and, when that is none, nothing else.
func imagesAre(engine *docker.Engine, want int) func(*testing.T, *day) (string, int) {
	return func(t *testing.T, d *day) (string, int) {
		platformtest.Await(t, fmt.Sprintf("%d images", want), func() (string, bool) {
			finished, rest := inEngine(t, engine)
			return fmt.Sprintf("%d images, and %d other things", finished, rest), finished == want && (want > 0 || rest == 0)
		})
		return "", 0
	}
}

func inEngine(t *testing.T, engine *docker.Engine) (finished, rest int) {
	t.Helper()
	made, err := engine.ImageList(context.Background(), image.ListOptions{All: true, Filters: engine.Mine()})
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range made {
		if len(i.RepoTags) > 0 && i.RepoTags[0] != "<none>:<none>" {
			finished++
		} else {
			rest++
		}
	}
	containers, err := engine.ContainerList(context.Background(), container.ListOptions{All: true, Filters: engine.Mine()})
	if err != nil {
		t.Fatal(err)
	}
	return finished, rest + len(containers)
}

// nothingIn removes what a test that failed has left.
func nothingIn(t *testing.T, engine *docker.Engine) {
	all, err := engine.ImageList(context.Background(), image.ListOptions{Filters: engine.Mine()})
	if err != nil {
		t.Error(err)
	}
	for _, i := range all {
		if _, err := engine.ImageRemove(context.Background(), i.ID, image.RemoveOptions{Force: true, PruneChildren: true}); err != nil {
			t.Error(err)
		}
	}
}
