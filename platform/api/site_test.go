package api

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"niwa/addons"
	"niwa/addons/catalog"
	"niwa/platform"
	"niwa/platform/build"
	"niwa/platform/certs"
	"niwa/platform/controller"
	"niwa/platform/logplex"
	"niwa/platform/pki"
	"niwa/platform/rendezvous"
	"niwa/platform/store"
	routing "niwa/router/route"
)

// site is a platform that is real but for its runner and its providers, with
// its API on a port of its own.
type site struct {
	t          *testing.T
	api        *API
	controller *controller.Controller
	store      *store.Store
	logs       *logplex.Logplex
	pg         *fakePostgres
	redis      *fakeRedis
	log        *logBuffer
	mayLog     string // what lines of the log may hold; any other fails the test
	url        string
	token      string
	dir        string
	ca         *pki.Authority
	certs      *certs.Live
}

const email = "gardener@example.test"

// open starts a site. mount may add addresses behind authentication.
func open(t *testing.T, mount ...func(fiber.Router)) *site {
	t.Helper()
	s := &site{
		t: t, dir: t.TempDir(), token: "HRKU-" + rand.Text(), log: &logBuffer{},
		pg: &fakePostgres{fakeProvider{scheme: "postgres"}}, redis: &fakeRedis{fakeProvider{scheme: "rediss", timeout: "300"}},
	}
	log := slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelWarn}))
	key := make([]byte, 32)
	rand.Read(key)
	var err error
	if s.store, err = store.Open(t.Context(), filepath.Join(s.dir, "niwa.db"), key); err != nil {
		t.Fatal(err)
	}
	if s.logs, err = logplex.Open(filepath.Join(s.dir, "logs")); err != nil {
		t.Fatal(err)
	}
	market := s.controllerOn(t, log)
	ln := listen(t)
	s.url = "http://" + ln.Addr().String()
	cfg := Config{
		Controller: s.controller, Logs: s.logs, Catalog: market, Key: key, BaseURL: s.url,
		SourcesDir: filepath.Join(s.dir, "sources"), Buildpacks: os.DirFS("../../buildpacks"), Log: log, Version: "test",
	}
	if len(mount) > 0 {
		cfg.Mount = mount[0]
	}
	s.api = New(cfg)
	served := make(chan error, 1)
	go func() { served <- s.api.Serve(ln) }()
	t.Cleanup(func() { s.close(served) })
	return s
}

func (s *site) controllerOn(t *testing.T, log *slog.Logger) *catalog.Catalog {
	t.Helper()
	elements, err := os.ReadFile("../../elements.yaml")
	if err != nil {
		t.Fatal(err)
	}
	market, err := catalog.Load(elements)
	if err != nil {
		t.Fatal(err)
	}
	routes, err := routing.Open(filepath.Join(s.dir, "routes.log"))
	if err != nil {
		t.Fatal(err)
	}
	if s.ca, err = pki.Open(filepath.Join(s.dir, "ca")); err != nil {
		t.Fatal(err)
	}
	if s.certs, err = certs.Open(filepath.Join(s.dir, "certs"), make([]byte, 32)); err != nil {
		t.Fatal(err)
	}
	runner := &fakeRunner{}
	s.controller = controller.New(controller.Config{
		Store: s.store, Runner: runner, Logs: s.logs, Routes: routes, Rendezvous: rendezvous.New(listen(t)), Catalog: market,
		Builder:   build.New(build.Config{Runner: runner, Dir: filepath.Join(s.dir, "builds"), CacheDir: filepath.Join(s.dir, "cache")}),
		Providers: map[string]addons.Provider{"postgres": s.pg, "redis": s.redis},
		Dir:       s.dir, Domain: "localhost", Log: log, Isolate: os.Geteuid() == 0,
		RouterURL: func(host string) string { return "http://" + host + ":8080/" },
		GitURL:    func(app string) string { return "https://localhost:5100/" + app + ".git" },
		Forget:    func(string) error { return nil },
		AttachURL: func(secret string) string { return "rendezvous://localhost:5101/" + secret },
		Certs:     s.certs, Issue: s.issue,
	})
	if err := s.controller.EnsureAccount(t.Context(), email, s.token); err != nil {
		t.Fatal(err)
	}
	if err := s.controller.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return market
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln
}

func (s *site) close(served chan error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := s.api.Shutdown(ctx); err != nil {
		s.t.Errorf("shutting down: %v", err)
	}
	if err := <-served; err != nil {
		s.t.Errorf("serving: %v", err)
	}
	if err := s.controller.Close(ctx); err != nil {
		s.t.Errorf("closing the controller: %v", err)
	}
	if err := s.logs.Close(); err != nil {
		s.t.Error(err)
	}
	if err := s.store.Close(); err != nil {
		s.t.Error(err)
	}
	for line := range strings.Lines(s.log.String()) {
		if s.mayLog == "" || !strings.Contains(line, s.mayLog) {
			s.t.Errorf("logged: %s", line)
		}
	}
}

// do sends a request with the token. body is nil, a string to send as it is,
// or what becomes JSON. An answer of the Platform API is held against the
// schema.
func (s *site) do(method, path string, body any, headers ...string) answer {
	s.t.Helper()
	a := s.send(method, path, body, append([]string{"Authorization", "Bearer " + s.token, "Accept", "application/vnd.heroku+json; version=3"}, headers...)...)
	s.validate(method, path, a)
	return a
}

// send sends a request with just the headers given.
func (s *site) send(method, path string, body any, headers ...string) answer {
	s.t.Helper()
	var in io.Reader
	switch body := body.(type) {
	case nil:
	case string:
		in = strings.NewReader(body)
	case []byte:
		in = bytes.NewReader(body)
	default:
		data, err := json.Marshal(body)
		if err != nil {
			s.t.Fatal(err)
		}
		in = bytes.NewReader(data)
	}
	if strings.HasPrefix(path, "/") {
		path = s.url + path
	}
	req, err := http.NewRequestWithContext(s.t.Context(), method, path, in)
	if err != nil {
		s.t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
	return answer{s.t, method + " " + path, resp.StatusCode, resp.Header, got}
}

func (s *site) validate(method, path string, a answer) {
	s.t.Helper()
	if a.status == http.StatusNotModified {
		return
	}
	if got := a.header.Get("Content-Type"); got != "application/json" || !isJSON(a.body) {
		s.t.Fatalf("%s: %d %s is not JSON: %s", a.what, a.status, got, a.body)
	}
	if a.status >= 300 {
		return
	}
	schema, err := loadSchema()
	if err != nil {
		s.t.Fatal(err)
	}
	path, _, _ = strings.Cut(path, "?")
	if slices.Contains(beyondSchema(), method+" "+path) {
		return
	}
	l, ok := schema.find(method, path)
	if !ok {
		return // the Data API, and what beyondSchema lists
	}
	if err := schema.check(l, a.body); err != nil {
		s.t.Errorf("%s: not as the schema says: %v\n%s", a.what, err, a.body)
	}
}

// app creates an app.
func (s *site) app(name string) answer {
	s.t.Helper()
	return s.do("POST", "/apps", map[string]any{"name": name}).want(201)
}

// deploy releases a slug that was never built, with the process types.
func (s *site) deploy(app string, types map[string]string) platform.Slug {
	s.t.Helper()
	owner, err := s.controller.App(s.t.Context(), app)
	if err != nil {
		s.t.Fatal(err)
	}
	commit, description := "0123456789abcdef", "Procfile"
	slug := platform.Slug{
		ID: uuid.NewString(), AppID: owner.ID, Stack: platform.DefaultStack, Commit: &commit, BuildpackProvidedDescription: &description,
		Checksum: "SHA256:00", Size: 4, ProcessTypes: types, CreatedAt: time.Now().UTC(), UpdatedAt: time.Now().UTC(),
	}
	if err := s.store.Update(s.t.Context(), func(tx *store.Tx) error { return tx.InsertSlug(slug) }); err != nil {
		s.t.Fatal(err)
	}
	s.do("POST", "/apps/"+app+"/releases", map[string]any{"slug": slug.ID, "description": "Deploy 01234567"}).want(201)
	return slug
}

// until asks again until the answer is as wanted.
func (s *site) until(path string, wanted func(answer) bool) answer {
	s.t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		a := s.do("GET", path, nil)
		if wanted(a) {
			return a
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("%s: still %d %s", a.what, a.status, a.body)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// addon makes an add-on and waits until it is provisioned.
func (s *site) addon(app, plan string) answer {
	s.t.Helper()
	a := s.do("POST", "/apps/"+app+"/addons", map[string]any{"plan": map[string]any{"name": plan}}).want(201)
	return s.until("/addons/"+a.text("name"), func(a answer) bool { return a.text("state") == platform.AddonProvisioned })
}
