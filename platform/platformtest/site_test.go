package platformtest_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"niwa/platform/build/image/imagetest"
	"niwa/platform/instance"
	"niwa/platform/platformtest"
	"niwa/platform/platformtest/load"
	"niwa/platform/platformtest/need"
)

// site is the app echo on a niwa of its own.
type site struct {
	*platformtest.Program
	dir     string // git repository
	before  string // shell command that runs before echo, with its semicolon
	version int    // of echo that was pushed last
	answers answers
}

const (
	siteName = "garden"
	sitePath = "/apps/" + siteName
)

// runtimes are the values of --runtime that run dynos.
func runtimes() []string { return []string{instance.Process, instance.Docker} }

// newSite has version 1 serve from two web dynos.
func newSite(t testing.TB, runtime string) *site {
	t.Helper()
	return newSiteIn(t, platformtest.Dir(t), runtime)
}

// newSiteIn does so on a data directory that is there.
func newSiteIn(t testing.TB, data, runtime string) *site {
	t.Helper()
	need.Tool(t, "git")
	if runtime == instance.Docker {
		imagetest.Engine(t)
	}
	s := &site{
		Program: platformtest.Up(t, platformtest.Build(t), data, "--runtime", runtime),
		dir:     platformtest.Dir(t),
	}
	static(t, "echo", s.dir)
	git(t, s.dir, os.Environ(), "init", "-q", "-b", "main")
	s.do(t, "POST", "/apps", map[string]any{"name": siteName})
	s.push(t)
	s.scale(t, 2)
	s.settled(t, 2)
	return s
}

// static builds one of the programs of this folder for any Linux, into dir.
func static(t testing.TB, program, dir string) {
	t.Helper()
	build := exec.Command("go", "build", "-ldflags=-s -w", "-o", filepath.Join(dir, program), "./platform/platformtest/"+program)
	build.Dir, build.Env = platformtest.Root(), append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build %s: %v\n%s", program, err, out)
	}
}

// do makes a request to the API that must succeed.
func (s *site) do(t testing.TB, method, path string, body any) {
	t.Helper()
	if status := s.Call(t, method, path, body, nil); status >= 300 {
		t.Fatalf("%s %s: status %d", method, path, status)
	}
}

// push deploys the next version. Every other one dies of SIGTERM.
func (s *site) push(t testing.TB) {
	t.Helper()
	s.version++
	s.answers.expect(strconv.Itoa(s.version))
	write(t, filepath.Join(s.dir, "Procfile"), fmt.Sprintf("web: %s exec ./echo --version %d --abrupt=%t\n", s.before, s.version, s.version%2 == 0))
	git(t, s.dir, os.Environ(), "add", ".")
	git(t, s.dir, os.Environ(), "commit", "-q", "-m", fmt.Sprint("version ", s.version))
	git(t, s.dir, s.Environment(t), "push", "-q", s.repository(siteName), "main")
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// repository is where an app is pushed to.
func (s *site) repository(app string) string {
	return "https" + strings.TrimPrefix(s.API, "http") + "/" + app + ".git"
}

func (s *site) scale(t testing.TB, web int) {
	t.Helper()
	s.do(t, "PATCH", sitePath+"/formation", map[string]any{"updates": []any{map[string]any{"type": "web", "quantity": web}}})
}

// dynoInfo is what the API says of a dyno.
type dynoInfo struct {
	ID, Name, State string
	Release         struct{ Version int }
}

func (s *site) dynos(t testing.TB) (all []dynoInfo) {
	t.Helper()
	s.Call(t, "GET", sitePath+"/dynos", nil, &all)
	return all
}

// current is the version of the app's current release.
func (s *site) current(t testing.TB) int {
	t.Helper()
	var releases []struct {
		Version int
		Current bool
	}
	s.Call(t, "GET", sitePath+"/releases", nil, &releases)
	for _, r := range releases {
		if r.Current {
			return r.Version
		}
	}
	return 0
}

// settled waits until there are so many web dynos, all up and of the current
// release.
func (s *site) settled(t testing.TB, want int) {
	t.Helper()
	platformtest.Await(t, fmt.Sprintf("%d dynos of the current release", want), func() (string, bool) {
		current, dynos := s.current(t), s.dynos(t)
		n := 0
		for _, d := range dynos {
			if d.State == "up" && d.Release.Version == current {
				n++
			}
		}
		return fmt.Sprintf("%v, release %d", dynos, current), n == want && len(dynos) == want
	})
}

// restart restarts the dynos of a name, or all, and waits until others are
// in their places.
func (s *site) restart(t testing.TB, name string) {
	t.Helper()
	before := map[string]bool{}
	for _, d := range s.dynos(t) {
		before[d.ID] = name == "" || d.Name == name
	}
	s.do(t, "DELETE", strings.TrimSuffix(sitePath+"/dynos/"+name, "/"), nil)
	platformtest.Await(t, "dynos that are new", func() (string, bool) {
		dynos := s.dynos(t)
		for _, d := range dynos {
			if before[d.ID] {
				return fmt.Sprint(dynos), false
			}
		}
		return "", true
	})
}

// log is an app's log, of one of its dynos or, with an empty name, of all.
func (s *site) log(t testing.TB, app, dyno string) string {
	t.Helper()
	var session struct {
		LogplexURL string `json:"logplex_url"`
	}
	s.Call(t, "POST", "/apps/"+app+"/log-sessions", map[string]any{"lines": 1500, "dyno": dyno}, &session)
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

// load has clients keep the site busy.
func (s *site) load(check func(time.Time, http.Header) error) *load.Load {
	return load.Start(load.Config{
		Addr: strings.TrimPrefix(s.Router, "http://"), Host: siteName + "." + s.Domain,
		Clients: clients, Check: check,
	}, "at rest")
}

// clients is how many requests are under way at any time: they keep two cores
// busy, and leave a deploy its share of them.
const clients = 4

// await waits until so many requests have ended.
func await(t testing.TB, l *load.Load, ended int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Minute); l.Ended() < ended; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d requests have ended, want %d", l.Ended(), ended)
		}
	}
}

// answers holds answers to the order of releases: of two that are there while
// one takes the other's place, the old one does not answer to what is asked
// after the new one has answered.
type answers struct {
	mu        sync.Mutex
	now, last string    // versions of echo
	since     time.Time // when the first answer of now came; zero before
}

// expect says which version is about to take over.
func (a *answers) expect(version string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.now, a.last, a.since = version, a.now, time.Time{}
}

func (a *answers) check(began time.Time, header http.Header) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch version := header.Get("Version"); {
	case version == a.now && a.since.IsZero():
		a.since = time.Now()
	case version == a.now:
	case version != a.last:
		return fmt.Errorf("version %s answers", version)
	case !a.since.IsZero() && began.After(a.since):
		return fmt.Errorf("the old version answers after the new one has")
	}
	return nil
}

// arrived says whether the version that is expected has answered.
func (a *answers) arrived() (string, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return "version " + a.last, !a.since.IsZero()
}
