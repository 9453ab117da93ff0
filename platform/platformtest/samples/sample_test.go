package samples

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"niwa/platform/client"
	"niwa/platform/instance"
	"niwa/platform/lesson"
	"niwa/platform/platformtest"
	sampleapp "niwa/sample-app"
)

// sample is the app of a language on a platform.
type sample struct {
	*platformtest.App
	client *client.Client
	redis  string // id of the add-on
}

// newSample has it serve from two web dynos. It goes with the test.
func newSample(t *testing.T, p *platformtest.Program, runtime, lang string) *sample {
	t.Helper()
	s := &sample{App: p.Create(t, lesson.Name(lang)), client: client.New(p.API, p.Token)}
	t.Cleanup(func() { must(t, s.client.DestroyApp(context.Background(), s.Name)) })
	tree, err := sampleapp.Open(lang)
	must(t, err)
	must(t, os.CopyFS(s.Dir, tree))
	if lang == "ruby" && runtime == instance.Docker {
		s.vendorGems(t)
	}
	s.addons(t)
	s.Push(t)
	s.Scale(t, "web", 2)
	s.Settled(t, 2)
	s.postdeploy(t)
	return s
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
		t.Fatalf("packing gems: %v\n%s", err, out)
	}
	platformtest.Git(t, s.Dir, os.Environ(), "add", "--force", "vendor/cache")
}

// addons gives the app its database and its cache, as the lesson does.
func (s *sample) addons(t *testing.T) {
	t.Helper()
	l := lesson.Lesson{Client: s.client, Name: s.Name, Out: t.Output()}
	must(t, l.Database(t.Context()))
	must(t, l.Cache(t.Context()))
	addons, err := s.client.Addons(t.Context(), s.Name)
	must(t, err)
	for _, a := range addons {
		if a.Service.Name == "heroku-redis" {
			s.redis = a.ID
		}
	}
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
	platformtest.Await(t, "the end of "+app.Scripts.Postdeploy, func() (string, bool) {
		log := s.Log(t, dyno.Name)
		return log, strings.Contains(log, "Process exited with status 0")
	})
}

// url is where the router serves the app.
func (s *sample) url(t *testing.T) string {
	t.Helper()
	app, err := s.client.App(t.Context(), s.Name)
	must(t, err)
	return app.WebURL
}

func (s *sample) killRedis(t *testing.T)    { s.kill(t, "redis-"+s.redis) }
func (s *sample) killPostgres(t *testing.T) { s.kill(t, "postgres") }

// kill kills a data server whenever it is there, for as long as even a busy
// app cannot overlook, and waits until the platform has started it again and
// the app has found it.
func (s *sample) kill(t *testing.T, server string) {
	t.Helper()
	killed := 0
	for end := time.Now().Add(time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
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
