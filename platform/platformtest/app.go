package platformtest

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// App is an app on a niwa, and the git repository that it is pushed from.
type App struct {
	*Program
	Name string
	Dir  string
}

// Create makes an app, and a repository with nothing in it.
func (p *Program) Create(t testing.TB, name string) *App {
	t.Helper()
	a := &App{Program: p, Name: name, Dir: Dir(t)}
	Git(t, a.Dir, os.Environ(), "init", "-q", "-b", "main")
	a.Do(t, "POST", "/apps", map[string]any{"name": name})
	return a
}

// App is an app that is there, without a repository.
func (p *Program) App(name string) *App { return &App{Program: p, Name: name} }

// Do makes a request to the API that must succeed.
func (p *Program) Do(t testing.TB, method, path string, body any) {
	t.Helper()
	if status := p.Call(t, method, path, body, nil); status >= 300 {
		t.Fatalf("%s %s: status %d", method, path, status)
	}
}

// Path is the app's in the API.
func (a *App) Path() string { return "/apps/" + a.Name }

// Repository is where the app is pushed to.
func (a *App) Repository() string {
	return "https" + strings.TrimPrefix(a.API, "http") + "/" + a.Name + ".git"
}

// Write writes a file to be pushed.
func (a *App) Write(t testing.TB, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(a.Dir, name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// Commit commits what there is.
func (a *App) Commit(t testing.TB) {
	t.Helper()
	Git(t, a.Dir, os.Environ(), "add", ".")
	Git(t, a.Dir, os.Environ(), "commit", "-q", "-m", "changes")
}

// Push commits what there is, and deploys it.
func (a *App) Push(t testing.TB) {
	t.Helper()
	a.Commit(t)
	Git(t, a.Dir, a.Environment(t), "push", "-q", a.Repository(), "main")
}

// Git runs git, which has to succeed.
func Git(t testing.TB, dir string, env []string, args ...string) {
	t.Helper()
	cmd := exec.Command("git", append([]string{"-c", "user.name=gardener", "-c", "user.email=gardener@localhost"}, args...)...)
	cmd.Dir, cmd.Env = dir, env
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("git %s: %v\n%s", args[0], err, out)
	}
}

// Scale asks for so many dynos of a type.
func (a *App) Scale(t testing.TB, kind string, quantity int) {
	t.Helper()
	a.Do(t, "PATCH", a.Path()+"/formation", map[string]any{"updates": []any{map[string]any{"type": kind, "quantity": quantity}}})
}

// Dyno is what the API says of a dyno.
type Dyno struct {
	ID, Name, State string
	Release         struct{ Version int }
}

// Dynos are those of the app.
func (a *App) Dynos(t testing.TB) (all []Dyno) {
	t.Helper()
	a.Call(t, "GET", a.Path()+"/dynos", nil, &all)
	return all
}

// Current is the version of the app's current release; 0 when it has none.
func (a *App) Current(t testing.TB) int {
	t.Helper()
	var releases []struct {
		Version int
		Current bool
	}
	a.Call(t, "GET", a.Path()+"/releases", nil, &releases)
	for _, r := range releases {
		if r.Current {
			return r.Version
		}
	}
	return 0
}

// Up is how many of the dynos are up, and of the current release.
func (a *App) Up(t testing.TB) (n int, all []Dyno) {
	t.Helper()
	current := a.Current(t)
	all = a.Dynos(t)
	for _, d := range all {
		if d.State == "up" && d.Release.Version == current {
			n++
		}
	}
	return n, all
}

// Settled waits until there are so many dynos, all up and of the current
// release.
func (a *App) Settled(t testing.TB, want int) {
	t.Helper()
	Await(t, fmt.Sprintf("%d dynos of the current release", want), func() (string, bool) {
		n, all := a.Up(t)
		return fmt.Sprint(all), n == want && len(all) == want
	})
}

// Log is the app's log, of one of its dynos or, with an empty name, of all, as
// a client reads it.
func (a *App) Log(t testing.TB, dyno string) string {
	t.Helper()
	var session struct {
		LogplexURL string `json:"logplex_url"`
	}
	if status := a.Call(t, "POST", a.Path()+"/log-sessions", map[string]any{"lines": 1500, "dyno": dyno}, &session); status != http.StatusCreated {
		t.Fatalf("a log session of %s: status %d", a.Name, status)
	}
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
