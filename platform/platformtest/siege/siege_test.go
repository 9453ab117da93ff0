package siege

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"niwa/platform/platformtest"
	"niwa/platform/platformtest/escape"
	"niwa/platform/platformtest/need"
)

// siege is a platform with two apps: garden, which serves, and mallory, which
// wants more than is its own.
type siege struct {
	*garden
	mallory  *platformtest.App
	secret   string // in the environment of garden, and of niwa
	abstract string // a socket of the machine's that has no file
}

// files is how many niwa, and a process of mallory's, may have open: so few
// that they can be used up before the machine notices.
const files = 4096

// prepare skips the test where something is missing.
func prepare(t *testing.T) {
	t.Helper()
	need.Tool(t, "git")
	need.Tool(t, "redis-server")
	dirs, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil {
		t.Fatal(err)
	}
	need.Tool(t, "initdb", dirs...)
	// It is not lifted afterwards, because an ordinary user cannot.
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: files, Max: files}); err != nil {
		t.Fatal(err)
	}
}

func newSiege(t *testing.T, programs, runtime string) *siege {
	t.Helper()
	secret := "secret-" + rand.Text()
	t.Setenv(escape.SecretName, secret)
	data := platformtest.Dir(t)
	if err := os.Chmod(data, 0o711); err != nil { // as niwa makes it
		t.Fatal(err)
	}
	s := &siege{garden: newGarden(t, programs, data, runtime), secret: secret}
	s.mallory = s.Create(t, "mallory")
	apps := []*platformtest.App{s.App, s.mallory}
	for _, app := range apps {
		for _, plan := range []string{"heroku-postgresql:essential-0", "heroku-redis:mini"} {
			s.Do(t, "POST", app.Path()+"/addons", map[string]any{"plan": plan})
		}
	}
	for _, app := range apps {
		platformtest.Await(t, "the add-ons of "+app.Name, func() (string, bool) {
			config := s.config(t, app.Name)
			return fmt.Sprint(len(config)), config["DATABASE_URL"] != "" && config["REDIS_URL"] != ""
		})
	}
	s.plant(t)
	s.arm(t)
	s.tell(t)
	return s
}

// plant leaves garden's secret wherever an app's things are.
func (s *siege) plant(t *testing.T) {
	t.Helper()
	s.Do(t, "PATCH", s.Path()+"/config-vars", map[string]any{escape.SecretName: s.secret})
	s.Write(t, "secret.txt", s.secret+"\n")
	if err := os.Chmod(filepath.Join(s.Dir, "secret.txt"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // where /tmp is everybody's
		for _, dir := range []string{"/tmp", "/var/tmp", "/dev/shm"} {
			_ = os.Remove(filepath.Join(dir, "escape-theirs"))
		}
	})
	s.push(t)
	s.Scale(t, "web", 2)
	s.Settled(t, 2)
	s.abstract = "@escape-" + rand.Text()
	abstract, err := net.Listen("unix", s.abstract)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { abstract.Close() })
	cache := filepath.Join(s.Data, "cache", s.id(t, s.Path()))
	info, err := os.Stat(cache)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(cache, "secret.txt"), s.secret)
	if err := os.Lchown(filepath.Join(cache, "secret.txt"), int(info.Sys().(*syscall.Stat_t).Uid), -1); err != nil {
		t.Fatal(err)
	}
}

// arm deploys the attacker.
func (s *siege) arm(t *testing.T) {
	t.Helper()
	s.bring(t, "attacker", s.mallory.Dir)
	s.mallory.Write(t, "Procfile", "nothing: ./attacker sleep\n")
	s.mallory.Push(t)
}

// tell tells the attacker where everything is now.
func (s *siege) tell(t *testing.T) {
	t.Helper()
	targets, err := json.Marshal(s.targets(t))
	if err != nil {
		t.Fatal(err)
	}
	s.Do(t, "PATCH", s.mallory.Path()+"/config-vars", map[string]any{escape.Variable: string(targets)})
}

func (s *siege) config(t *testing.T, app string) (config map[string]string) {
	t.Helper()
	s.Call(t, "GET", "/apps/"+app+"/config-vars", nil, &config)
	return config
}

// id is that of whatever is at a path of the API.
func (s *siege) id(t *testing.T, path string) string {
	t.Helper()
	var found struct{ ID string }
	s.Call(t, "GET", path, nil, &found)
	return found.ID
}

// run starts a dyno of mallory's and returns its name.
func (s *siege) run(t *testing.T, command string) string {
	t.Helper()
	var d struct{ Name string }
	if status := s.Call(t, "POST", s.mallory.Path()+"/dynos", map[string]any{"command": command}, &d); status != 201 {
		t.Fatalf("running %q: status %d", command, status)
	}
	return d.Name
}

// end stops a dyno of mallory's and waits until nothing of it is left.
func (s *siege) end(t *testing.T, dyno string) {
	t.Helper()
	s.Call(t, "DELETE", s.mallory.Path()+"/dynos/"+dyno, nil, nil)
	platformtest.Await(t, "the end of "+dyno, func() (string, bool) {
		log := s.mallory.Log(t, dyno)
		return log, strings.Contains(log, "Process exited")
	})
}

// said waits until a dyno of mallory's has said something, and returns the
// rest of the line.
func (s *siege) said(t *testing.T, dyno, what string) (rest string) {
	t.Helper()
	platformtest.Await(t, fmt.Sprintf("%q of %s", what, dyno), func() (string, bool) {
		log := s.mallory.Log(t, dyno)
		_, after, found := strings.Cut(log, what)
		rest, _, _ = strings.Cut(after, "\n")
		if !found && strings.Contains(log, "Process exited") {
			t.Fatalf("%s was to say %q, and has ended:\n%s", dyno, what, log)
		}
		return log, found
	})
	return strings.TrimSpace(rest)
}
