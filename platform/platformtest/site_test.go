package platformtest_test

import (
	"fmt"
	"net/http"
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
	*platformtest.App
	before  string // shell command that runs before echo, with its semicolon
	version int    // of echo that was pushed last
	answers answers
}

const siteName = "garden"

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
	return plant(t, platformtest.Up(t, platformtest.Build(t), data, "--runtime", runtime))
}

// plant has version 1 serve from two web dynos of a niwa.
func plant(t testing.TB, p *platformtest.Program) *site {
	t.Helper()
	s := &site{App: p.Create(t, siteName)}
	s.answers.over = make(map[string]time.Time)
	static(t, "echo", s.Dir)
	s.push(t)
	s.Scale(t, "web", 2)
	s.Settled(t, 2)
	return s
}

// static builds one of the programs of this folder for any Linux, into dir.
func static(t testing.TB, program, dir string) {
	t.Helper()
	platformtest.Compile(t, "./platform/platformtest/"+program, filepath.Join(dir, program))
}

// push deploys the next version. Every other one dies of SIGTERM.
func (s *site) push(t testing.TB) {
	t.Helper()
	s.version++
	s.answers.expect(strconv.Itoa(s.version))
	s.Write(t, "Procfile", fmt.Sprintf("web: %s exec ./echo --version %d --abrupt=%t\n", s.before, s.version, s.version%2 == 0))
	s.Push(t)
}

// restart restarts the dynos of a name, or all, and waits until others are
// in their places.
func (s *site) restart(t testing.TB, name string) {
	t.Helper()
	before := map[string]bool{}
	for _, d := range s.Dynos(t) {
		before[d.ID] = name == "" || d.Name == name
	}
	s.Do(t, "DELETE", strings.TrimSuffix(s.Path()+"/dynos/"+name, "/"), nil)
	platformtest.Await(t, "dynos that are new", func() (string, bool) {
		dynos := s.Dynos(t)
		for _, d := range dynos {
			if before[d.ID] {
				return fmt.Sprint(dynos), false
			}
		}
		return "", true
	})
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

// answers holds answers to the order of releases: a version whose successor has
// answered does not answer to what is asked after that.
type answers struct {
	mu        sync.Mutex
	now, last string               // versions of echo
	expected  time.Time            // since when now is
	since     time.Time            // when the first answer of now came; zero before
	over      map[string]time.Time // when the successor of a version first answered
}

// expect says which version is about to take over.
func (a *answers) expect(version string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.now, a.last, a.since, a.expected = version, a.now, time.Time{}, time.Now()
}

func (a *answers) check(began time.Time, header http.Header) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	version := header.Get("Version")
	over, known := a.over[version]
	switch {
	case known && !began.After(over):
		return nil // it was asked while this version's turn was
	case version == a.now && began.After(a.expected):
		if a.since.IsZero() {
			a.since = time.Now()
			a.over[a.last] = a.since
			delete(a.over, version)
		}
		return nil
	case version == a.now, version == a.last && a.since.IsZero():
		return nil
	case known:
		return fmt.Errorf("version %s answers to what was asked %v after its successor had answered", version, began.Sub(over))
	}
	return fmt.Errorf("version %s answers", version)
}

// arrived says whether the version that is expected has answered.
func (a *answers) arrived() (string, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return "version " + a.last, !a.since.IsZero()
}
