package api

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"niwa/platform"
	"niwa/platform/store"
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

func TestASlugOfImagesIsToldLikeAnyOther(t *testing.T) {
	t.Parallel()
	s := open(t)
	app := s.do("POST", "/apps", map[string]any{"name": "garden", "stack": "container"}).want(201)
	at := time.Now().UTC()
	slug := platform.Slug{
		ID: uuid.NewString(), AppID: app.text("id"), Stack: platform.ContainerStack, Size: 4, CreatedAt: at, UpdatedAt: at,
		ProcessTypes: map[string]string{"worker": "/work hard"}, Images: map[string]platform.Image{"worker": {ID: "sha256:00"}},
	}
	if err := s.store.Update(t.Context(), func(tx *store.Tx) error { return tx.InsertSlug(slug) }); err != nil {
		t.Fatal(err)
	}
	s.do("POST", "/apps/garden/releases", map[string]any{"slug": slug.ID}).want(201)
	got := s.do("GET", "/apps/garden/slugs/"+slug.ID, nil).want(200)
	if got.text("stack", "name") != "container" || got.at("checksum") != nil || got.text("process_types", "worker") != "/work hard" {
		t.Errorf("slug: %s", got.body)
	}
	if got := s.do("GET", "/apps/garden", nil).want(200); got.at("buildpack_provided_description") != nil || got.at("slug_size") != 4.0 {
		t.Errorf("app: %s", got.body)
	}
	if got := s.do("GET", "/apps/garden/formation/worker", nil).want(200); got.text("command") != "/work hard" || got.at("quantity") != 0.0 {
		t.Errorf("formation: %s", got.body)
	}
}
