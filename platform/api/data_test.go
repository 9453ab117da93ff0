package api

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPostgresIsToldOfAndDealtWith(t *testing.T) {
	t.Parallel()
	s := open(t)
	s.app("garden")
	name := s.addon("garden", essential).text("name")
	base := "/client/v11/databases/" + name
	info := s.do("GET", base, nil).want(200)
	if info.text("info", 0, "name") != "Plan" || info.text("postgres_version") != "15.2" || info.at("following") != nil ||
		!strings.HasPrefix(info.text("resource_url"), "postgres://owner:secret1@127.0.0.1:5432/") {
		t.Errorf("info: %s", info.body)
	}
	if diff := cmp.Diff(`{"message":"available","waiting?":false,"error?":false}`, string(s.do("GET", base+"/wait_status", nil).want(200).body)); diff != "" {
		t.Error(diff)
	}
	s.do("PUT", base+"/reset", nil).want(200)
	s.do("POST", base+"/connection_reset", nil).want(200)
	s.do("PUT", base+"/unfollow", nil).fails(422, map[string]any{"id": "invalid_params"})
	s.do("GET", "/postgres/v0/databases/"+name+"/config", nil).fails(422, map[string]any{"id": "invalid_params"})
	if asked := s.pg.asked(); !slices.Contains(asked, "reset") || !slices.Contains(asked, "disconnect") {
		t.Errorf("asked of the provider: %v", asked)
	}
}

func TestCredentialsAreMadeRotatedAndDestroyed(t *testing.T) {
	t.Parallel()
	s := open(t)
	s.app("garden")
	name := s.addon("garden", "heroku-postgresql:standard-0").text("name")
	base := "/postgres/v0/databases/" + name + "/credentials"
	s.do("POST", base, map[string]any{"name": "readonly"}).want(201)
	s.do("POST", base, map[string]any{"name": "Bad Name"}).fails(422, map[string]any{"id": "invalid_params"})
	s.do("POST", base, nil).fails(422, map[string]any{"message": "Field name is required."})
	if diff := cmp.Diff([]string{"default", "readonly"}, s.do("GET", base, nil).want(200).names("name")); diff != "" {
		t.Error(diff)
	}
	before := s.do("GET", base+"/readonly", nil).want(200)
	if before.at("port") != 5432.0 || before.text("database") != "db" || before.text("credentials", 0, "user") != "readonly" {
		t.Errorf("credential: %s", before.body)
	}
	s.do("POST", base+"/readonly/credentials_rotation", map[string]any{"forced": true}).want(200)
	if s.do("GET", base+"/readonly", nil).want(200).text("credentials", 0, "password") == before.text("credentials", 0, "password") {
		t.Error("not rotated")
	}
	s.do("POST", "/postgres/v0/databases/"+name+"/credentials_rotation", nil).want(200)
	if url := s.do("GET", "/apps/garden/config-vars", nil).want(200).text("DATABASE_URL"); !strings.Contains(url, "default:secret") {
		t.Errorf("the app still has %s", url)
	}
	s.do("POST", "/addon-attachments", map[string]any{"addon": name, "app": "garden", "name": "READER", "namespace": "credential:readonly"}).want(201)
	s.do("DELETE", base+"/readonly", nil).fails(422, map[string]any{"id": "invalid_params"})
	s.do("DELETE", "/addon-attachments/"+s.do("GET", "/apps/garden/addon-attachments/READER", nil).want(200).text("id"), nil).want(200)
	s.do("DELETE", base+"/readonly", nil).want(200)
	if got := s.do("GET", base+"/readonly", nil).want(404); string(got.body) != "{}" {
		t.Errorf("gone: %s", got.body)
	}
}

func TestRedisIsToldOfAndSet(t *testing.T) {
	t.Parallel()
	s := open(t)
	s.app("garden")
	name := s.addon("garden", "heroku-redis:mini").text("name")
	base := "/redis/v0/databases/" + name
	info := s.do("GET", base, nil).want(200)
	if info.text("plan") != "mini" || info.at("prefer_native_tls") != true || info.at("port") != 5432.0 || info.text("info", 0, "name") != "Plan" {
		t.Errorf("info: %s", info.body)
	}
	// Clients compare the value with a number.
	set := s.do("PATCH", base+"/config", map[string]any{"timeout": 10}).want(200)
	if set.at("timeout", "value") != 10.0 || set.at("timeout", "default") != 300.0 {
		t.Errorf("set: %s", set.body)
	}
	if s.do("GET", base+"/config", nil).want(200).at("timeout", "value") != 10.0 {
		t.Error("not kept")
	}
	s.do("PATCH", base+"/config", map[string]any{"colour": "red"}).fails(422, map[string]any{"message": "There is no setting colour."})
	s.do("PATCH", base+"/config", map[string]any{"timeout": []int{1}}).fails(422, map[string]any{"id": "invalid_params"})
	if s.do("GET", base+"/wait", nil).want(200).at("waiting?") != false {
		t.Error("still waiting")
	}
	s.do("POST", base+"/stats/reset", map[string]any{}).want(200)
	s.do("POST", base+"/credentials_rotation", map[string]any{}).want(200)
	s.do("POST", base+"/upgrade", map[string]any{"version": "7.2"}).fails(422, map[string]any{"id": "invalid_params"})
	if asked := s.redis.asked(); !slices.Contains(asked, "stats") || !slices.Contains(asked, "rotate default") {
		t.Errorf("asked of the provider: %v", asked)
	}
}

func TestADataApiKnowsOnlyItsOwn(t *testing.T) {
	t.Parallel()
	s := open(t)
	s.app("garden")
	redis, pg := s.addon("garden", "heroku-redis:mini").text("name"), s.addon("garden", essential).text("name")
	for _, path := range []string{
		"/client/v11/databases/" + redis, "/client/v11/databases/" + redis + "/wait_status", "/postgres/v0/databases/" + redis + "/credentials",
		"/redis/v0/databases/" + pg, "/redis/v0/databases/" + pg + "/wait", "/redis/v0/databases/nothing", "/client/v11/databases/nothing",
	} {
		if got := s.do("GET", path, nil).want(404); string(got.body) != "{}" {
			t.Errorf("%s: %s", path, got.body)
		}
	}
}
