package samples

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"niwa/platform"
	"niwa/platform/client"
	"niwa/platform/instance"
	"niwa/platform/lesson"
	"niwa/platform/platformtest"
	"niwa/platform/platformtest/need"
	sampleapp "niwa/sample-app"
)

// sample is the app of a language on a platform.
type sample struct {
	*platformtest.App
	client *client.Client
	redis  string // id of the add-on
}

// newSample has it serve from two web dynos. After the test it has none; its
// data and what its build has fetched stay for the other runtime's turn.
func newSample(t *testing.T, p *platformtest.Program, runtime, lang string) *sample {
	t.Helper()
	s := &sample{
		App:    &platformtest.App{Program: p, Name: lesson.Name(lang), Dir: platformtest.Dir(t)},
		client: client.New(p.API, p.Token),
	}
	s.provision(t)
	// For minutes, Java compiles quickly and not well: that is half the work.
	const quick = "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=240m -XX:+UseSerialGC"
	s.Do(t, "PATCH", s.Path()+"/config-vars", map[string]any{"JAVA_TOOL_OPTIONS": quick, "SBT_OPTS": quick})
	s.source(t, runtime, lang)
	s.push(t)
	t.Cleanup(func() { s.Scale(t, "web", 0) })
	s.Scale(t, "web", 2)
	s.await(t, "two dynos", func() (string, bool) {
		dynos, err := s.client.Dynos(t.Context(), s.Name)
		must(t, err)
		up := 0
		for _, d := range dynos {
			if d.State == platform.DynoUp {
				up++
			}
		}
		return fmt.Sprint(dynos), up == 2 && len(dynos) == 2
	})
	s.postdeploy(t)
	return s
}

// provision makes what is not there yet of the app and its add-ons, as the
// lesson does.
func (s *sample) provision(t *testing.T) {
	t.Helper()
	l := lesson.Lesson{Client: s.client, Name: s.Name, Out: t.Output()}
	for _, step := range []func(context.Context) error{l.Create, l.Database, l.Cache} {
		must(t, step(t.Context()))
	}
	addons, err := s.client.Addons(t.Context(), s.Name)
	must(t, err)
	for _, a := range addons {
		if a.Service.Name == "heroku-redis" {
			s.redis = a.ID
		}
	}
}

// source makes a repository of the sample's folder.
func (s *sample) source(t *testing.T, runtime, lang string) {
	t.Helper()
	tree, err := sampleapp.Open(lang)
	must(t, err)
	must(t, os.CopyFS(s.Dir, tree))
	platformtest.Git(t, s.Dir, os.Environ(), "init", "-q", "-b", "main")
	if lang == "ruby" && runtime == instance.Docker {
		s.vendorGems(t)
	}
	s.Commit(t)
}

// push deploys it, whatever was deployed before.
func (s *sample) push(t *testing.T) {
	t.Helper()
	platformtest.Git(t, s.Dir, s.Environment(t), "push", "-q", "--force", s.Repository(), "main")
}

// vendorGems has the app bring its gems along: containers have none, and
// cannot fetch any where only Debian's packages of them can be had.
func (s *sample) vendorGems(t *testing.T) {
	t.Helper()
	script, err := filepath.Abs("testdata/vendor.rb")
	must(t, err)
	pack := exec.Command("ruby", script, "vendor/cache")
	pack.Dir = s.Dir
	if out, err := pack.CombinedOutput(); err != nil {
		need.Reason(t, fmt.Sprintf("needs Debian's packages of the app's gems: %v\n%s", err, out))
	}
	platformtest.Git(t, s.Dir, os.Environ(), "add", "--force", "vendor/cache")
}

// postdeploy runs what app.json has run once in a new app.
func (s *sample) postdeploy(t *testing.T) {
	t.Helper()
	var app struct{ Scripts struct{ Postdeploy string } }
	text, err := os.ReadFile(filepath.Join(s.Dir, "app.json"))
	must(t, err)
	must(t, json.Unmarshal(text, &app))
	var dyno struct{ Name string }
	if status := s.Call(t, "POST", s.Path()+"/dynos", map[string]any{"command": app.Scripts.Postdeploy}, &dyno); status != 201 {
		t.Fatalf("running %s: status %d", app.Scripts.Postdeploy, status)
	}
	s.await(t, "the end of "+app.Scripts.Postdeploy, func() (string, bool) {
		log := s.Log(t, dyno.Name)
		return log, strings.Contains(log, "Process exited with status 0")
	})
}

// await asks the API until ok, five times a second: in an hour it answers 4500
// requests.
func (s *sample) await(t *testing.T, what string, ok func() (seen string, ok bool)) {
	t.Helper()
	platformtest.Await(t, what, func() (string, bool) {
		time.Sleep(200 * time.Millisecond)
		return ok()
	})
}

// watch follows what the platform says of the app from now on. What it returns
// ends that, and lists what was called an error, by Heroku's codes. The answer
// begins with its first line: one that is there, or else the next to come.
func (s *sample) watch(t *testing.T) (stop func() []string) {
	t.Helper()
	var session struct {
		URL string `json:"logplex_url"`
	}
	if status := s.Call(t, "POST", s.Path()+"/log-sessions", map[string]any{"source": "heroku", "tail": true, "lines": 1}, &session); status != 201 {
		t.Fatalf("following the log: status %d", status)
	}
	resp, err := http.Get(session.URL)
	must(t, err)
	found := make(chan []string, 1)
	go func() {
		var errors []string
		for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
			if line := lines.Text(); strings.Contains(line, "]: at=error ") || strings.Contains(line, "]: Error ") {
				errors = append(errors, line)
			}
		}
		found <- errors
	}()
	return func() []string {
		_ = resp.Body.Close() // there is no other end
		return <-found
	}
}

// url is where the router serves the app.
func (s *sample) url(t *testing.T) string {
	t.Helper()
	app, err := s.client.App(t.Context(), s.Name)
	must(t, err)
	return app.WebURL
}

func (s *sample) killRedis(t *testing.T)    { s.kill(t, "redis-"+s.redis, `"cache":"ok"`) }
func (s *sample) killPostgres(t *testing.T) { s.kill(t, "postgres", `"postgres":"ok"`) }

// kill kills a data server whenever it is there, for a second and until the app
// does not say well of it, and waits until the platform has started it again and
// the app has found it.
func (s *sample) kill(t *testing.T, server, well string) {
	t.Helper()
	killed := 0
	noticed := s.misses(well)
	missed := false
	for begun := time.Now(); time.Since(begun) < time.Second || !missed && time.Since(begun) < 20*time.Second; time.Sleep(5 * time.Millisecond) {
		select {
		case <-noticed:
			missed = true
		default:
		}
		if pid := s.pid(t, server); pid != 0 && pid != killed {
			if err := syscall.Kill(pid, syscall.SIGKILL); !errors.Is(err, syscall.ESRCH) {
				must(t, err)
			}
			killed = pid
		}
	}
	platformtest.Await(t, server+" to be back", func() (string, bool) {
		if pid := s.pid(t, server); pid == 0 || pid == killed {
			return "no other", false
		}
		_, health, err := s.Get(s.Name, "/health")
		return fmt.Sprint(health, err), strings.Contains(health, `"postgres":"ok"`) && strings.Contains(health, `"cache":"ok"`)
	})
}

// misses is closed when the app's health lacks something.
func (s *sample) misses(well string) <-chan struct{} {
	noticed := make(chan struct{})
	go func() {
		defer close(noticed)
		for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
			if _, health, err := s.Get(s.Name, "/health"); err != nil || !strings.Contains(health, well) {
				return
			}
		}
	}()
	return noticed
}

// pid is the process that a data server is, by the platform's own record; 0
// while there is none.
func (s *sample) pid(t *testing.T, server string) int {
	t.Helper()
	var record struct{ PID int }
	text, err := os.ReadFile(filepath.Join(s.Data, "procs", server+".json"))
	if errors.Is(err, fs.ErrNotExist) {
		return 0
	}
	must(t, err)
	must(t, json.Unmarshal(text, &record))
	return record.PID
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
