package lesson

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"niwa/platform/client"
)

// scripted is an API that answers the lesson from memory, for what a real
// platform does not do on request: a build that fails, an add-on that cannot
// be had. It is also the router.
type scripted struct {
	mu          sync.Mutex
	made        []string // what was created, in order
	app         bool
	addons      []string
	addonState  string // what a new add-on becomes; default provisioned
	attached    []string
	builds      []map[string]any
	buildStatus string // default succeeded
	release     string // default succeeded
	dynoState   string // default up
	health      int    // default 200
	url         string
}

func (s *scripted) start(t *testing.T) Lesson {
	t.Helper()
	mux := http.NewServeMux()
	for pattern, handle := range map[string]func(r *http.Request) (int, any){
		"GET /apps/users":                   s.getApp,
		"POST /apps":                        s.createApp,
		"GET /apps/users/addons":            func(*http.Request) (int, any) { return 200, s.addonList() },
		"POST /apps/users/addons":           s.createAddon,
		"GET /addons/{id}":                  s.getAddon,
		"GET /apps/users/addon-attachments": s.getAttachments,
		"POST /addon-attachments":           s.attach,
		"POST /sources":                     s.createSource,
		"PUT /upload":                       func(*http.Request) (int, any) { return 200, nil },
		"GET /apps/users/builds":            s.getBuilds,
		"POST /apps/users/builds":           s.build,
		"GET /apps/users/builds/{id}":       func(*http.Request) (int, any) { return 200, s.lastBuild() },
		"GET /apps/users/releases/{id}":     s.getRelease,
		"GET /apps/users/dynos":             s.getDynos,
		"GET /health":                       s.getHealth,
		"GET /output":                       func(*http.Request) (int, any) { return 200, "the build speaks" },
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			s.mu.Lock()
			defer s.mu.Unlock()
			status, body := handle(r)
			w.WriteHeader(status)
			json.NewEncoder(w).Encode(body)
		})
	}
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	s.url = server.URL
	return Lesson{
		Client: client.New(server.URL, "t0ken"), Router: server.URL, Domain: "localhost", Name: "users", Lang: "go",
		Source: []byte("a tarball"), Out: io.Discard,
	}
}

type object = map[string]any

func notFound(resource string) (int, any) {
	return 404, object{"id": "not_found", "resource": resource, "message": "Couldn't find that."}
}

func (s *scripted) making(format string, args ...any) {
	s.made = append(s.made, fmt.Sprintf(format, args...))
}

func (s *scripted) getApp(*http.Request) (int, any) {
	if !s.app {
		return notFound("app")
	}
	return 200, object{"name": "users"}
}

func (s *scripted) createApp(r *http.Request) (int, any) {
	s.app = true
	s.making("app %s", body(r)["name"])
	return 201, object{"name": "users"}
}

func (s *scripted) addonObject(service, state string) object {
	return object{"id": service, "name": service + "-curved-1", "state": state, "addon_service": object{"name": service}}
}

func (s *scripted) addonList() []object {
	list := []object{}
	for _, service := range s.addons {
		list = append(list, s.addonObject(service, "provisioned"))
	}
	return list
}

func (s *scripted) createAddon(r *http.Request) (int, any) {
	plan := body(r)["plan"].(object)["name"].(string)
	service, _, _ := strings.Cut(plan, ":")
	s.addons = append(s.addons, service)
	s.making("add-on %s", plan)
	return 201, s.addonObject(service, "provisioning")
}

func (s *scripted) getAddon(r *http.Request) (int, any) {
	state := s.addonState
	if state == "" {
		state = "provisioned"
	}
	return 200, s.addonObject(r.PathValue("id"), state)
}

func (s *scripted) getAttachments(*http.Request) (int, any) {
	list := []object{}
	for _, name := range s.attached {
		list = append(list, object{"name": name})
	}
	return 200, list
}

func (s *scripted) attach(r *http.Request) (int, any) {
	b := body(r)
	s.attached = append(s.attached, b["name"].(string))
	s.making("attachment %s with %s", b["name"], b["namespace"])
	return 201, object{"name": b["name"]}
}

func (s *scripted) createSource(*http.Request) (int, any) {
	return 201, object{"source_blob": object{"put_url": s.url + "/upload", "get_url": s.url + "/download"}}
}

func (s *scripted) getBuilds(*http.Request) (int, any) {
	if len(s.builds) == 0 {
		return 200, []object{}
	}
	return 200, []object{s.lastBuild()}
}

func (s *scripted) build(r *http.Request) (int, any) {
	s.builds = append(s.builds, body(r)["source_blob"].(object))
	s.making("build")
	return 201, s.lastBuild()
}

func (s *scripted) lastBuild() object {
	status := s.buildStatus
	if status == "" {
		status = "succeeded"
	}
	return object{"id": "b", "status": status, "output_stream_url": s.url + "/output",
		"source_blob": s.builds[len(s.builds)-1], "release": object{"id": "r"}}
}

func (s *scripted) getRelease(*http.Request) (int, any) {
	status := s.release
	if status == "" {
		status = "succeeded"
	}
	return 200, object{"id": "r", "version": 5, "status": status}
}

func (s *scripted) getDynos(*http.Request) (int, any) {
	state := s.dynoState
	if state == "" {
		state = "up"
	}
	return 200, []object{{"name": "web.1", "type": "web", "state": state, "release": object{"version": 5}}}
}

func (s *scripted) getHealth(r *http.Request) (int, any) {
	if r.Host != "users.localhost" {
		return 404, "no such app"
	}
	if s.health != 0 {
		return s.health, "unwell"
	}
	return 200, "well"
}

func body(r *http.Request) object {
	var o object
	json.NewDecoder(r.Body).Decode(&o)
	return o
}

func TestTheLessonMakesWhatIsMissingAndNothingElse(t *testing.T) {
	var s scripted
	l := s.start(t)
	if err := l.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"app users",
		"add-on heroku-postgresql:essential-0",
		"add-on heroku-redis:mini",
		"attachment REDIS_READER with credential:readonly",
		"build",
	}
	if diff := cmp.Diff(want, s.made); diff != "" {
		t.Error(diff)
	}

	s.made = nil
	if err := l.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(s.made) != 0 {
		t.Errorf("the second time it made %v", s.made)
	}

	l.Source = []byte("another")
	if err := l.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"build"}, s.made); diff != "" {
		t.Errorf("with changed source: %s", diff)
	}
}

func TestTheLessonSaysWhereItStopped(t *testing.T) {
	cases := map[string]struct {
		scripted *scripted
		want     string
	}{
		"an add-on that cannot be had": {&scripted{addonState: "deprovisioned"}, "heroku-postgresql-curved-1: it could not be provisioned"},
		"a build that fails":           {&scripted{buildStatus: "failed"}, "the build failed; its output is above"},
		"a release phase that fails":   {&scripted{release: "failed"}, "release v5 failed; \"niwa heroku releases:output --app users\" says why"},
		"a dyno that crashes":          {&scripted{dynoState: "crashed"}, "web.1 crashed"},
		"an app that is not well":      {&scripted{health: 503}, "503 Service Unavailable"},
	}
	for _, name := range slices.Sorted(maps.Keys(cases)) {
		t.Run(name, func(t *testing.T) {
			c := cases[name]
			l := c.scripted.start(t)
			if err := l.Run(t.Context()); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestAFailedDeployIsTriedAgain(t *testing.T) {
	for name, s := range map[string]*scripted{"a build": {buildStatus: "failed"}, "a release": {release: "failed"}} {
		t.Run(name, func(t *testing.T) {
			l := s.start(t)
			for range 2 {
				if err := l.Run(t.Context()); err == nil {
					t.Fatal("no error")
				}
			}
			if len(s.builds) != 2 {
				t.Errorf("%d builds, want 2", len(s.builds))
			}
		})
	}
}
