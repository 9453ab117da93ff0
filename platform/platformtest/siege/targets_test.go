package siege

import (
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"niwa/platform/platformtest/escape"
	"niwa/router/route"
)

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
	ids := []string{s.id(t, s.Path())}
	for _, d := range s.Dynos(t) {
		ids = append(ids, d.ID)
	}
	var releases []struct{ Slug *struct{ ID string } }
	s.Call(t, "GET", s.Path()+"/releases", nil, &releases)
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
	table, err := route.Read(filepath.Join(s.Data, "routes.log"))
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
