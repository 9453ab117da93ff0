package siege

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"niwa/platform/platformtest"
	"niwa/platform/platformtest/escape"
	"niwa/platform/platformtest/need"
	"niwa/router/route"
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

// targets is what somebody knows who has read niwa's source, looks around on
// the machine, and hears all but the secrets of garden.
func (s *siege) targets(t *testing.T) escape.Targets {
	t.Helper()
	targets := escape.Targets{
		Secret: []byte(s.secret), Abstract: s.abstract, Data: s.Data, Home: os.Getenv("HOME"), Niwa: s.PID, Others: s.processes(t),
		Dyno: s.addr(t), Ports: s.ports(t),
		Postgres: withoutPassword(t, s.config(t, gardenName)["DATABASE_URL"]),
		Redis:    withoutPassword(t, s.config(t, gardenName)["REDIS_URL"]),
	}
	theirs := s.ids(t)
	err := filepath.WalkDir(s.Data, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		name, _ := filepath.Rel(s.Data, path)
		top, _, _ := strings.Cut(name, "/")
		switch {
		case e.Type() == fs.ModeSocket:
			targets.Sockets = append(targets.Sockets, path)
		case !e.Type().IsRegular() || public(name):
		case top == "engines":
			targets.Engines = append(targets.Engines, path)
		case slices.ContainsFunc(theirs, func(id string) bool { return strings.Contains(name, id) }):
			targets.Theirs = append(targets.Theirs, path)
		case !slices.Contains(ofApps(), top):
			targets.Platforms = append(targets.Platforms, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range ofApps() {
		if dir != "builds" && dir != "sources" && !slices.ContainsFunc(targets.Theirs, func(path string) bool { return strings.HasPrefix(path, filepath.Join(s.Data, dir)) }) {
			t.Errorf("nothing of garden's is in %s, so that nothing is shown", dir)
		}
	}
	targets.Theirs, targets.Engines = few(targets.Theirs), few(targets.Engines)
	return targets
}

// ofApps are the platform's directories that hold something for each app.
func ofApps() []string {
	return []string{"dynos", "slugs", "repos", "cache", "logs", "builds", "sources"}
}

// public says which of the platform's files everybody may read: where niwa is,
// who signs its certificates, and how much memory there is.
func public(name string) bool {
	for _, pattern := range []string{"niwa.json", "ca/ca.pem", "ca/ca-with-*.pem", "dynos/*/run/meminfo", "dynos/*/run/limit"} {
		if ok, _ := filepath.Match(pattern, name); ok { // the patterns are constants
			return true
		}
	}
	return false
}

// few takes some of many, of all parts.
func few(all []string) []string {
	const enough = 40
	for len(all) > enough {
		var half []string
		for i := 0; i < len(all); i += 2 {
			half = append(half, all[i])
		}
		all = half
	}
	return all
}

// ids are those that garden's files are known by.
func (s *siege) ids(t *testing.T) []string {
	t.Helper()
	ids := []string{s.id(t, gardenPath)}
	for _, d := range s.dynos(t) {
		ids = append(ids, d.ID)
	}
	var releases []struct{ Slug *struct{ ID string } }
	s.Call(t, "GET", gardenPath+"/releases", nil, &releases)
	for _, r := range releases {
		if r.Slug != nil {
			ids = append(ids, r.Slug.ID)
		}
	}
	return ids
}

// processes are garden's.
func (s *siege) processes(t *testing.T) (pids []int) {
	t.Helper()
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range lines {
		line, _ := os.ReadFile(path) // it may have ended
		env, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "environ"))
		if strings.HasPrefix(string(line), "./echo") && strings.Contains(string(env), s.secret) {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			pids = append(pids, pid)
		}
	}
	if len(pids) == 0 {
		t.Error("no process of garden's is found, so that nothing is shown")
	}
	return pids
}

// addr is where one of garden's dynos answers.
func (s *siege) addr(t *testing.T) string {
	t.Helper()
	table, err := route.Read(filepath.Join(s.Data, "routes.json"))
	if err != nil {
		t.Fatal(err)
	}
	app, ok := table.Lookup(gardenName + "." + s.Domain)
	if !ok || len(app.Dynos) == 0 {
		t.Fatalf("no route leads to garden: %v", app)
	}
	return app.Dynos[0].Addr
}

// ports are those that niwa said it listens on, but for the router's, the
// API's first.
func (s *siege) ports(t *testing.T) (ports []int) {
	t.Helper()
	for _, m := range regexp.MustCompile(`(?m)^ready +(\S+) .*:(\d+)`).FindAllStringSubmatch(s.Output(), -1) {
		if m[1] != "router" {
			port, _ := strconv.Atoi(m[2])
			ports = append(ports, port)
		}
	}
	if len(ports) < 2 {
		t.Errorf("niwa listens on %v", ports)
	}
	return ports
}

func withoutPassword(t *testing.T, of string) string {
	t.Helper()
	u, err := url.Parse(of)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.User(u.User.Username())
	return u.String()
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
