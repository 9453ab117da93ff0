package api

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAnAppIsCreatedChangedAndDestroyed(t *testing.T) {
	t.Parallel()
	s := open(t)
	app := s.app("garden")
	if app.text("web_url") != "http://garden.localhost:8080/" || app.text("owner", "email") != email {
		t.Errorf("created: %s", app.body)
	}
	if s.do("GET", "/apps/"+app.text("id"), nil).want(200).text("name") != "garden" {
		t.Error("an app is not found by its id")
	}
	generated := s.do("POST", "/apps", nil).want(201).text("name")
	if diff := cmp.Diff(2, len(s.do("GET", "/users/~/apps", nil).want(200).names("name"))); diff != "" {
		t.Errorf("listed, beside %s: %s", generated, diff)
	}
	if s.do("PATCH", "/apps/garden", map[string]any{"maintenance": true}).want(200).at("maintenance") != true {
		t.Error("maintenance was not turned on")
	}
	if s.do("PATCH", "/apps/garden", map[string]any{"name": "pond", "build_stack": "heroku-24"}).want(200).text("name") != "pond" {
		t.Error("the app was not renamed")
	}
	s.do("GET", "/apps/garden", nil).fails(404, map[string]any{"id": "not_found", "resource": "app", "message": "Couldn't find that app."})
	if s.do("DELETE", "/apps/pond", nil).want(200).text("name") != "pond" {
		t.Error("what was destroyed is not told")
	}
	s.do("GET", "/apps/pond", nil).want(404)
}

func TestAnAppIsRefused(t *testing.T) {
	t.Parallel()
	s := open(t)
	s.app("garden")
	for name, test := range map[string]struct {
		body   any
		status int
		want   map[string]any
	}{
		"a name that is taken":     {map[string]any{"name": "garden"}, 422, map[string]any{"id": "invalid_params", "message": "Name garden is already taken"}},
		"a name that is malformed": {map[string]any{"name": "Garden!"}, 422, map[string]any{"id": "invalid_params"}},
		"an unknown stack":         {map[string]any{"stack": "cedar-14"}, 422, map[string]any{"id": "invalid_params"}},
		"an unknown region":        {map[string]any{"region": map[string]any{"name": "mars"}}, 422, map[string]any{"id": "invalid_params"}},
		"a team":                   {map[string]any{"team": "acme"}, 404, map[string]any{"id": "not_found", "resource": "team"}},
		"a space":                  {map[string]any{"space": "outer"}, 404, map[string]any{"id": "not_found", "resource": "space"}},
		"a locked one":             {map[string]any{"locked": true}, 422, map[string]any{"id": "invalid_params"}},
		"a number for a name":      {map[string]any{"name": 7}, 422, map[string]any{"message": "Field name must be a string, not a number."}},
		"a field nobody knows":     {map[string]any{"colour": "red"}, 422, map[string]any{"message": `Field "colour" is not one that this endpoint knows.`}},
		"an array for a body":      {[]int{1}, 422, map[string]any{"message": "The request body must be an object, not an array."}},
		"half a body":              {`{"name":`, 400, map[string]any{"id": "bad_request", "message": "Unable to parse the JSON request body."}},
		"a zero byte":              {`{"name":"a\u0000b"}`, 422, map[string]any{"id": "invalid_params"}},
	} {
		t.Run(name, func(t *testing.T) {
			s.do("POST", "/apps", test.body).fails(test.status, test.want)
		})
	}
}

func TestAllThatClientsSendForAnAppIsTaken(t *testing.T) {
	t.Parallel()
	s := open(t)
	stack := s.do("GET", "/stacks", nil).want(200).text(0, "id")
	region := s.do("GET", "/regions", nil).want(200).text(0, "id")
	s.do("POST", "/apps", map[string]any{
		"name": "garden", "stack": map[string]any{"id": stack}, "region": region, "feature_flags": []string{}, "kernel": nil,
	}).want(201)
	s.do("POST", "/teams/apps", map[string]any{
		"name": "pond", "personal": true, "locked": false, "internal_routing": nil, "team": nil, "space": nil, "region": "us", "stack": "heroku-24",
	}).want(201)
}

func TestConfigVarsMakeReleases(t *testing.T) {
	t.Parallel()
	s := open(t)
	s.app("garden")
	s.do("PATCH", "/apps/garden/config-vars", map[string]any{"A": "1", "B": "two <words>"}).want(200)
	got := s.do("PATCH", "/apps/garden/config-vars", map[string]any{"A": nil}).want(200)
	if diff := cmp.Diff(`{"B":"two <words>"}`, string(got.body)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"Initial release", "Set A, B config vars", "Remove A config vars"}, s.do("GET", "/apps/garden/releases", nil).want(200).names("description")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(`{"A":"1","B":"two <words>"}`, string(s.do("GET", "/apps/garden/releases/2/config-vars", nil).want(200).body)); diff != "" {
		t.Error(diff)
	}
	s.do("PATCH", "/apps/garden/config-vars", map[string]any{"A": 1}).fails(422, map[string]any{"id": "invalid_params"})
	s.do("PATCH", "/apps/garden/config-vars", map[string]any{"A=B": "1"}).fails(422, map[string]any{"id": "invalid_params"})
	s.do("GET", "/apps/garden/releases/9", nil).fails(404, map[string]any{"resource": "release"})
}

func TestAReleaseIsRolledBackAndMadeAgain(t *testing.T) {
	t.Parallel()
	s := open(t)
	s.app("garden")
	slug := s.deploy("garden", map[string]string{"web": "serve"})
	s.do("PATCH", "/apps/garden/config-vars", map[string]any{"A": "1"}).want(200)
	second := s.do("GET", "/apps/garden/releases/v2", nil).want(200)
	if second.at("eligible_for_rollback") != true || second.at("current") != false || second.text("slug", "id") != slug.ID {
		t.Errorf("the release before: %s", second.body)
	}
	if third := s.do("GET", "/apps/garden/releases/v3", nil).want(200); third.at("eligible_for_rollback") != true {
		t.Errorf("the official client takes the second that is eligible, and so the one before: %s", third.body)
	}
	back := s.do("POST", "/apps/garden/releases", map[string]any{"release": second.text("id")}).want(201)
	if back.text("description") != "Rollback to v2" || back.at("current") != true {
		t.Errorf("rolled back: %s", back.body)
	}
	if got := s.do("GET", "/apps/garden/config-vars", nil).want(200); string(got.body) != "{}" {
		t.Errorf("config vars after the rollback: %s", got.body)
	}
	if got := s.do("GET", "/apps/garden/slugs/"+slug.ID, nil).want(200); got.text("commit") != "0123456789abcdef" {
		t.Errorf("slug: %s", got.body)
	}
	s.do("POST", "/apps/garden/releases", map[string]any{}).fails(422, map[string]any{"message": "Field slug is required."})
	s.do("POST", "/apps/garden/releases", map[string]any{"release": "1"}).fails(422, map[string]any{"id": "invalid_params"})
	s.do("POST", "/apps/garden/releases", map[string]any{"slug": "no-such"}).fails(404, map[string]any{"resource": "slug"})
}

func TestTheOutputOfAReleasePhaseIsStreamed(t *testing.T) {
	t.Parallel()
	s := open(t)
	s.app("garden")
	s.deploy("garden", map[string]string{"web": "serve", "release": "echo migrated"})
	r := s.do("GET", "/apps/garden/releases", nil, "Range", "version ..; max=1, order=desc").at(0)
	url := r.(map[string]any)["output_stream_url"].(string)
	if got := s.send("GET", url, nil).want(200); string(got.body) != "migrated\n" {
		t.Errorf("output: %q", got.body)
	}
	s.send("GET", url+"0", nil).fails(404, map[string]any{"id": "not_found"})
	s.send("GET", s.url+outputPath+"x", nil).fails(404, map[string]any{"id": "not_found"})
}
