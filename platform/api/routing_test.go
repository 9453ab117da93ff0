package api

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRoutingIsSetAndShown(t *testing.T) {
	t.Parallel()
	s := open(t)
	s.app("garden")
	s.deploy("garden", map[string]string{"web": "serve"})
	const path = "/niwa/apps/garden/routing"
	a := s.do("GET", path, nil).want(200)
	if a.text("policy") != "random" || a.text("app", "name") != "garden" {
		t.Errorf("a new app has %s", a.body)
	}
	a = s.do("PATCH", path, map[string]any{"policy": "two-choices", "weights": map[string]any{"web.1": 9, "web.2": 1}}).want(200)
	if a.text("policy") != "two-choices" || !cmp.Equal(a.at("weights"), any(map[string]any{"web.1": 9.0})) {
		t.Errorf("got %s", a.body)
	}
	if a := s.do("GET", "/apps/garden/features/routing-two-choices", nil).want(200); a.at("enabled") != true || a.text("state") != "general" {
		t.Errorf("the feature of the policy is %s", a.body)
	}
	s.do("PATCH", "/apps/garden/features/http-routing-2-dot-0", map[string]any{"enabled": false}).want(200)
	if a := s.do("GET", "/apps/garden/features/http-routing-2-dot-0", nil).want(200); a.at("enabled") != false || a.text("state") == "general" {
		t.Errorf("an experiment is %s", a.body)
	}
	for _, body := range []any{
		map[string]any{"policy": "fastest"}, map[string]any{"weights": map[string]any{"web.0": 1}}, map[string]any{"weights": map[string]any{"web.1": -1}},
		map[string]any{"weights": map[string]any{"web.1": 1.5}}, map[string]any{"weights": []int{1}}, map[string]any{"weight": 1},
	} {
		s.do("PATCH", path, body).fails(422, map[string]any{"id": "invalid_params"})
	}
	s.do("GET", "/niwa/apps/nowhere/routing", nil).fails(404, map[string]any{"id": "not_found", "resource": "app"})
	s.send("GET", path, nil).want(401)
}
