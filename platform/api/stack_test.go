package api

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAnAppIsPutOnTheContainerStack(t *testing.T) {
	t.Parallel()
	s := open(t)
	stacks := s.do("GET", "/stacks", nil).want(200)
	if diff := cmp.Diff([]string{"heroku-24", "container"}, stacks.names("name")); diff != "" {
		t.Error(diff)
	}
	if stacks.at(0, "default") != true || stacks.at(1, "default") != false {
		t.Error("heroku-24 is not the default alone")
	}
	s.do("GET", "/stacks/container", nil).want(200)
	s.do("GET", "/stacks/"+stacks.text(1, "id"), nil).want(200)

	if app := s.do("POST", "/apps", map[string]any{"name": "pond", "stack": "container"}).want(201); app.text("stack", "name") != "container" {
		t.Error("the stack that an app is created with is not its own")
	}
	s.app("garden")
	app := s.do("PATCH", "/apps/garden", map[string]any{"build_stack": map[string]any{"id": stacks.text(1, "id")}}).want(200)
	if app.text("build_stack", "name") != "container" || app.text("stack", "name") != "container" {
		t.Error("an app that was never deployed does not change its stack at once")
	}
	s.deploy("garden", map[string]string{"web": "listen"})
	app = s.do("PATCH", "/apps/garden", map[string]any{"build_stack": "container"}).want(200)
	if app.text("build_stack", "name") != "container" || app.text("stack", "name") != "heroku-24" {
		t.Error("what runs changes its stack before it is built anew")
	}
	s.do("PATCH", "/apps/garden", map[string]any{"build_stack": "cedar"}).fails(422, map[string]any{"id": "invalid_params"})
}
