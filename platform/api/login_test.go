package api

import (
	"net/url"
	"strings"
	"testing"
)

func TestABrowserLogsAClientIn(t *testing.T) {
	t.Parallel()
	s := open(t)
	begun := s.send("POST", "/auth", map[string]any{"description": "Heroku CLI login from <host>"}).want(201)
	page := s.send("GET", begun.text("browser_url"), nil).want(200)
	if !strings.Contains(string(page.body), "&lt;host&gt;") || !strings.Contains(string(page.body), `name="token"`) {
		t.Errorf("page:\n%s", page.body)
	}
	waiting := make(chan answer, 1)
	go func() {
		waiting <- s.send("GET", begun.text("cli_url"), nil, "Authorization", "Bearer "+begun.text("token"))
	}()
	show := func(token string) answer {
		return s.send("POST", begun.text("browser_url"), url.Values{"token": {token}}.Encode(), "Content-Type", "application/x-www-form-urlencoded")
	}
	if got := show("HRKU-wrong").want(401); !strings.Contains(string(got.body), "not a token of this niwa") {
		t.Errorf("page:\n%s", got.body)
	}
	show(" " + s.token + " ").want(200)
	token := (<-waiting).want(200).text("access_token")
	if token == s.token || s.send("GET", "/account", nil, "Authorization", "Bearer "+token).want(200).text("email") != email {
		t.Errorf("the client got %s", token)
	}
	show(s.token).fails(404, map[string]any{"id": "not_found"})
}

func TestAStrangerDoesNotGetTheToken(t *testing.T) {
	t.Parallel()
	s := open(t)
	begun := s.send("POST", "/auth", nil).want(201)
	for _, secret := range []string{"", "Bearer wrong", "Bearer " + s.token} {
		s.send("GET", begun.text("cli_url"), nil, "Authorization", secret).fails(401, map[string]any{"id": "unauthorized"})
	}
	s.send("GET", "/auth/cli/nothing", nil).fails(404, map[string]any{"id": "not_found"})
	s.send("GET", "/auth/browser/nothing", nil).fails(404, map[string]any{"id": "not_found"})
	for range maxLogins - 1 {
		s.send("POST", "/auth", nil).want(201)
	}
	s.send("POST", "/auth", nil).fails(429, map[string]any{"id": "rate_limit"})
}

func TestWhatThereIsOneOrNoneOf(t *testing.T) {
	t.Parallel()
	s := open(t)
	app := s.app("garden")
	for _, path := range []string{
		"/account", "/users/~", "/users/" + email, "/account/features", "/regions", "/regions/us", "/stacks", "/stacks/heroku-24", "/generations",
		"/generations/cedar", "/dyno-sizes", "/dyno-sizes/performance-m", "/teams", "/apps/garden/features", "/apps/garden/features/preboot", "/apps/garden/collaborators",
		"/apps/garden/domains", "/apps/garden/domains/garden.localhost", "/apps/garden/available-stacks", "/apps/garden/available-dyno-sizes",
		"/users/~/addons", "/apps/" + app.text("id") + "/formation", "/teams/apps",
	} {
		s.do("GET", path, nil, "Accept", "application/vnd.heroku+json; version=3.sdk").want(200)
	}
	for path, resource := range map[string]string{
		"/users/stranger": "user", "/users/stranger/apps": "user", "/account/features/spaces": "feature", "/apps/garden/features/flight": "feature", "/regions/mars": "region",
		"/stacks/cedar": "stack", "/dyno-sizes/huge": "dyno_size", "/teams/acme": "team", "/teams/acme/apps": "team",
		"/apps/garden/pipeline-couplings": "pipeline coupling", "/apps/nowhere/pipeline-couplings": "app", "/apps/nowhere/features": "app",
		"/apps/garden/domains/example.test": "domain", "/apps/nowhere/domains": "app", "/apps/nowhere/collaborators": "app",
	} {
		s.do("GET", path, nil).fails(404, map[string]any{"id": "not_found", "resource": resource})
	}
	if s.send("GET", "/api/v4/current-status", nil).want(200).text("status", 0, "status") != "green" {
		t.Error("the status is not green")
	}
}
