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
	secret    string // in the environment of garden, and of niwa
	malicious string // mallory's git repository
	abstract  string // a socket of the machine's that has no file
}

const attackerPath = "/apps/mallory"

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
	for _, app := range []string{gardenName, "mallory"} {
		if app != gardenName {
			s.do(t, "POST", "/apps", map[string]any{"name": app})
		}
		for _, plan := range []string{"heroku-postgresql:essential-0", "heroku-redis:mini"} {
			s.do(t, "POST", "/apps/"+app+"/addons", map[string]any{"plan": plan})
		}
	}
	for _, app := range []string{gardenName, "mallory"} {
		platformtest.Await(t, "the add-ons of "+app, func() (string, bool) {
			config := s.config(t, app)
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
	s.do(t, "PATCH", gardenPath+"/config-vars", map[string]any{escape.SecretName: s.secret})
	secret := filepath.Join(s.dir, "secret.txt")
	write(t, secret, s.secret+"\n")
	if err := os.Chmod(secret, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // where /tmp is everybody's
		for _, dir := range []string{"/tmp", "/var/tmp", "/dev/shm"} {
			_ = os.Remove(filepath.Join(dir, "escape-theirs"))
		}
	})
	s.push(t)
	s.scale(t, 2)
	s.settled(t, 2)
	s.abstract = "@escape-" + rand.Text()
	abstract, err := net.Listen("unix", s.abstract)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { abstract.Close() })
	cache := filepath.Join(s.Data, "cache", s.id(t, gardenPath))
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
	s.malicious = platformtest.Dir(t)
	dir := s.malicious
	s.bring(t, "attacker", dir)
	write(t, filepath.Join(dir, "Procfile"), "nothing: ./attacker sleep\n")
	git(t, dir, os.Environ(), "init", "-q", "-b", "main")
	git(t, dir, os.Environ(), "add", ".")
	git(t, dir, os.Environ(), "commit", "-q", "-m", "besiege")
	git(t, dir, s.Environment(t), "push", "-q", s.repository("mallory"), "main")
}

// tell tells the attacker where everything is now.
func (s *siege) tell(t *testing.T) {
	t.Helper()
	targets, err := json.Marshal(s.targets(t))
	if err != nil {
		t.Fatal(err)
	}
	s.do(t, "PATCH", attackerPath+"/config-vars", map[string]any{escape.Variable: string(targets)})
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
	if status := s.Call(t, "POST", attackerPath+"/dynos", map[string]any{"command": command}, &d); status != 201 {
		t.Fatalf("running %q: status %d", command, status)
	}
	return d.Name
}

// end stops a dyno of mallory's and waits until nothing of it is left.
func (s *siege) end(t *testing.T, dyno string) {
	t.Helper()
	s.Call(t, "DELETE", attackerPath+"/dynos/"+dyno, nil, nil)
	platformtest.Await(t, "the end of "+dyno, func() (string, bool) {
		log := s.log(t, "mallory", dyno)
		return log, strings.Contains(log, "Process exited")
	})
}

// said waits until a dyno of mallory's has said something, and returns the
// rest of the line.
func (s *siege) said(t *testing.T, dyno, what string) (rest string) {
	t.Helper()
	platformtest.Await(t, fmt.Sprintf("%q of %s", what, dyno), func() (string, bool) {
		log := s.log(t, "mallory", dyno)
		_, after, found := strings.Cut(log, what)
		rest, _, _ = strings.Cut(after, "\n")
		if !found && strings.Contains(log, "Process exited") {
			t.Fatalf("%s was to say %q, and has ended:\n%s", dyno, what, log)
		}
		return log, found
	})
	return strings.TrimSpace(rest)
}
