package siege

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"niwa/platform/platformtest"
	"niwa/platform/platformtest/load"
)

// garden is an app that serves, on a niwa of its own.
type garden struct {
	*platformtest.Program
	programs string // where they are, see programs
	dir      string // git repository
	releases int
}

const (
	gardenName = "garden"
	gardenPath = "/apps/" + gardenName
)

func newGarden(t *testing.T, programs, data, runtime string) *garden {
	t.Helper()
	g := &garden{Program: platformtest.Up(t, filepath.Join(programs, "niwa"), data, "--runtime", runtime), programs: programs, dir: platformtest.Dir(t)}
	g.bring(t, "echo", g.dir)
	git(t, g.dir, os.Environ(), "init", "-q", "-b", "main")
	g.do(t, "POST", "/apps", map[string]any{"name": gardenName})
	return g
}

// built is the environment variable that says where programs are already.
const built = "NIWA_SIEGE_PROGRAMS"

// programs builds niwa, echo and attacker, where there is a network, and
// returns the folder they are in, which goes with the test.
func programs(t *testing.T) (dir string) {
	t.Helper()
	if dir := os.Getenv(built); dir != "" {
		return dir
	}
	dir = filepath.Dir(platformtest.Build(t))
	build := exec.Command("go", "build", "-ldflags=-s -w", "-o", dir, "./platform/platformtest/echo", "./platform/platformtest/attacker")
	build.Dir, build.Env = platformtest.Root(), append(os.Environ(), "CGO_ENABLED=0") // for any Linux
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	t.Setenv(built, dir)
	return dir
}

// bring copies a program to where an app is pushed from.
func (g *garden) bring(t *testing.T, program, dir string) {
	t.Helper()
	binary, err := os.ReadFile(filepath.Join(g.programs, program))
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, program), binary, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func git(t *testing.T, dir string, env []string, args ...string) {
	t.Helper()
	cmd := exec.Command("git", append([]string{"-c", "user.name=gardener", "-c", "user.email=gardener@localhost"}, args...)...)
	cmd.Dir, cmd.Env = dir, env
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("git %s: %v\n%s", args[0], err, out)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// do makes a request to the API that must succeed.
func (g *garden) do(t *testing.T, method, path string, body any) {
	t.Helper()
	if status := g.Call(t, method, path, body, nil); status >= 300 {
		t.Fatalf("%s %s: status %d", method, path, status)
	}
}

// push deploys the garden anew. Its dynos leave their secret wherever a dyno
// can leave something, say it, and the third takes its time to start.
func (g *garden) push(t *testing.T) {
	t.Helper()
	g.releases++
	before := "for dir in /tmp /var/tmp /dev/shm; do cp secret.txt $dir/escape-theirs; done; cat secret.txt; [ $DYNO != web.3 ] || sleep 1;"
	write(t, filepath.Join(g.dir, "Procfile"), fmt.Sprintf("web: %s exec ./echo --version %d\n", before, g.releases))
	git(t, g.dir, os.Environ(), "add", ".")
	git(t, g.dir, os.Environ(), "commit", "-q", "-m", fmt.Sprint("version ", g.releases))
	git(t, g.dir, g.Environment(t), "push", "-q", g.repository(gardenName), "main")
}

// repository is where an app is pushed to.
func (g *garden) repository(app string) string {
	return "https" + strings.TrimPrefix(g.API, "http") + "/" + app + ".git"
}

func (g *garden) scale(t *testing.T, web int) {
	t.Helper()
	g.do(t, "PATCH", gardenPath+"/formation", map[string]any{"updates": []any{map[string]any{"type": "web", "quantity": web}}})
}

// dyno is what the API says of one.
type dyno struct {
	ID, Name, State string
	Release         struct{ Version int }
}

func (g *garden) dynos(t *testing.T) (all []dyno) {
	t.Helper()
	g.Call(t, "GET", gardenPath+"/dynos", nil, &all)
	return all
}

// up is how many of the dynos are up, and of the current release.
func (g *garden) up(t *testing.T) (n int, all []dyno) {
	t.Helper()
	var releases []struct {
		Version int
		Current bool
	}
	g.Call(t, "GET", gardenPath+"/releases", nil, &releases)
	all = g.dynos(t)
	for _, r := range releases {
		for _, d := range all {
			if r.Current && d.State == "up" && d.Release.Version == r.Version {
				n++
			}
		}
	}
	return n, all
}

// settled waits until there are so many dynos, all up and of the current
// release.
func (g *garden) settled(t *testing.T, want int) {
	t.Helper()
	platformtest.Await(t, fmt.Sprintf("%d dynos of the current release", want), func() (string, bool) {
		n, all := g.up(t)
		return fmt.Sprint(all), n == want && len(all) == want
	})
}

// log is an app's log, of one of its dynos or, with an empty name, of all.
func (g *garden) log(t *testing.T, app, dyno string) string {
	t.Helper()
	var session struct {
		LogplexURL string `json:"logplex_url"`
	}
	g.Call(t, "POST", "/apps/"+app+"/log-sessions", map[string]any{"lines": 1500, "dyno": dyno}, &session)
	resp, err := http.Get(session.LogplexURL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// visitors are a few that come again and again, each after a pause, so that
// nobody is kept from work by them.
func (g *garden) visitors(clients, requests int) *load.Load {
	return load.Start(load.Config{
		Addr: strings.TrimPrefix(g.Router, "http://"), Host: gardenName + "." + g.Domain, Clients: clients, Requests: requests,
		Check: func(time.Time, http.Header) error { time.Sleep(5 * time.Millisecond); return nil },
	}, "at rest")
}
