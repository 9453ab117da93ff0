package api

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"niwa/platform"
)

const essential = "heroku-postgresql:essential-0"

func TestAnAddonIsProvisionedWhileTheClientWaits(t *testing.T) {
	t.Parallel()
	s := open(t)
	s.app("garden")
	s.pg.hold = make(chan struct{})
	made := s.do("POST", "/apps/garden/addons", map[string]any{
		"plan": map[string]any{"name": essential}, "attachment": map[string]any{}, "config": map[string]any{"version": 15, "fast": true},
	}, "Accept-Expansion", "plan", "X-Heroku-Legacy-Provider-Messages", "true").want(201)
	name := made.text("name")
	if made.text("state") != platform.AddonProvisioning || made.at("plan", "price", "metered") != false || len(made.at("config_vars").([]any)) != 0 {
		t.Errorf("created: %s", made.body)
	}
	// The Data API's clients take a 404 without a message for "not yet".
	if got := s.do("GET", "/client/v11/databases/"+name, nil).want(404); string(got.body) != "{}" {
		t.Errorf("not yet: %s", got.body)
	}
	if s.do("GET", "/client/v11/databases/"+name+"/wait_status", nil).want(200).at("waiting?") != true {
		t.Error("nothing to wait for")
	}
	close(s.pg.hold)
	done := s.until("/addons/"+name, func(a answer) bool { return a.text("state") == platform.AddonProvisioned })
	if diff := cmp.Diff([]any{"DATABASE_URL"}, done.at("config_vars")); diff != "" {
		t.Error(diff)
	}
	shown := s.do("GET", "/apps/garden/addons/"+name, nil, "X-Heroku-Legacy-Provider-Messages", "true").want(200)
	if shown.text("provision_message") != "Made of nothing." || shown.text("billing_entity", "type") != "app" {
		t.Errorf("shown: %s", shown.body)
	}
}

func TestAnAddonIsNamedByItsOwner(t *testing.T) {
	t.Parallel()
	s := open(t)
	s.app("garden")
	s.do("POST", "/apps/garden/addons", map[string]any{"plan": "heroku-redis:mini", "name": "my-cache", "attachment": map[string]any{"name": "CACHE"}}).want(201)
	made := s.until("/addons/my-cache", func(a answer) bool { return a.text("state") == platform.AddonProvisioned })
	if diff := cmp.Diff([]any{"CACHE_URL"}, made.at("config_vars")); diff != "" {
		t.Error(diff)
	}
	s.do("POST", "/apps/garden/addons", map[string]any{"plan": essential, "name": "my-cache"}).fails(422, map[string]any{"id": "invalid_params"})
}

func TestAnAddonThatCannotBeProvisionedSaysWhy(t *testing.T) {
	t.Parallel()
	s := open(t)
	s.mayLog = "sold out"
	s.app("garden")
	name := s.do("POST", "/apps/garden/addons", map[string]any{"plan": essential, "config": map[string]any{"fail": "1"}}).want(201).text("name")
	failed := s.until("/client/v11/databases/"+name+"/wait_status", func(a answer) bool { return a.at("error?") == true })
	if !strings.Contains(failed.text("message"), "sold out") {
		t.Errorf("status: %s", failed.body)
	}
}

func TestAnAddonIsUpgradedRenamedAndDestroyed(t *testing.T) {
	t.Parallel()
	s := open(t)
	app := s.app("garden").text("id")
	made := s.addon("garden", essential)
	id := made.text("id")
	changed := s.do("PATCH", "/apps/garden/addons/"+made.text("name"), map[string]any{"plan": map[string]any{"name": "heroku-postgresql:standard-0"}}, "Accept-Expansion", "addon_service,plan").want(200)
	if changed.text("plan", "name") != "heroku-postgresql:standard-0" || changed.text("addon_service", "human_name") != "Heroku Postgres" {
		t.Errorf("upgraded: %s", changed.body)
	}
	s.do("PATCH", "/apps/"+app+"/addons/"+id, map[string]any{"plan": "heroku-postgresql:gone"}).fails(422, map[string]any{"id": "invalid_params"})
	if s.do("PATCH", "/apps/"+app+"/addons/"+id, map[string]any{"name": "my-db"}).want(200).text("name") != "my-db" {
		t.Error("not renamed")
	}
	if state := s.do("DELETE", "/apps/"+app+"/addons/"+id, map[string]any{"force": false}).want(200).text("state"); state != platform.AddonDeprovisioned {
		t.Errorf("destroyed: %s", state)
	}
	s.do("GET", "/addons/my-db", nil).fails(404, map[string]any{"resource": "add_on"})
	if diff := cmp.Diff([]string{}, s.do("GET", "/apps/garden/addons", nil).want(200).names("name")); diff != "" {
		t.Error(diff)
	}
}

func TestAnAddonIsRefused(t *testing.T) {
	t.Parallel()
	s := open(t)
	s.app("garden")
	for name, test := range map[string]struct {
		body   any
		status int
		want   map[string]any
	}{
		"no plan":          {map[string]any{}, 422, map[string]any{"message": "Field plan is required."}},
		"an unknown plan":  {map[string]any{"plan": "heroku-postgresql:gone"}, 422, map[string]any{"id": "invalid_params"}},
		"a bad name":       {map[string]any{"plan": essential, "name": "1 2"}, 422, map[string]any{"id": "invalid_params"}},
		"a bad attachment": {map[string]any{"plan": essential, "attachment": map[string]any{"name": "A-B"}}, 422, map[string]any{"id": "invalid_params"}},
		"a long option":    {map[string]any{"plan": essential, "config": map[string]any{"a": strings.Repeat("x", 2000)}}, 422, map[string]any{"id": "invalid_params"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := s.do("POST", "/apps/garden/addons", test.body)
			got.fails(test.status, test.want)
		})
	}
	// addons:upgrade lists the plans when the message begins so.
	if text := s.do("POST", "/apps/garden/addons", map[string]any{"plan": "nothing"}).want(422).text("message"); !strings.HasPrefix(text, "Couldn't find either the add-on") {
		t.Errorf("message: %s", text)
	}
}

func TestAttachmentsAreMadeReplacedAndDetached(t *testing.T) {
	t.Parallel()
	s := open(t)
	s.app("garden")
	s.app("pond")
	first, second := s.addon("garden", essential).text("name"), s.addon("garden", essential).text("name")
	include := []string{"Accept-Inclusion", "addon:plan,config_vars"}
	attach := func(body map[string]any) answer { return s.do("POST", "/addon-attachments", body) }

	made := attach(map[string]any{"addon": map[string]any{"name": first}, "app": map[string]any{"name": "pond"}, "name": "SHARED"}).want(201)
	if made.at("namespace") != nil || made.text("addon", "app", "name") != "garden" || made.text("app", "name") != "pond" {
		t.Errorf("attached: %s", made.body)
	}
	got := s.do("GET", "/apps/pond/addon-attachments/SHARED", nil, include...).want(200)
	if diff := cmp.Diff([]any{"SHARED_URL"}, got.at("config_vars")); diff != "" || got.text("addon", "plan", "name") != essential {
		t.Errorf("included: %s", got.body)
	}
	taken := map[string]any{"addon": second, "app": "garden", "name": "DATABASE"}
	attach(taken).fails(423, map[string]any{"id": "confirmation_required", "app": map[string]any{"name": "garden"}})
	s.do("DELETE", "/addon-attachments/"+made.text("id"), nil).want(200)
	s.do("GET", "/addon-attachments/"+made.text("id"), nil).fails(404, map[string]any{"resource": "add_on attachment"})

	// pg:promote: the old one gets another name first.
	attach(map[string]any{"addon": first, "app": "garden", "confirm": "garden"}).want(201)
	taken["confirm"] = "garden"
	attach(taken).want(201)
	if s.do("POST", "/actions/addon-attachments/resolve", map[string]any{"addon_attachment": "DATABASE_URL", "app": "garden"}, include...).want(200).text(0, "addon", "name") != second {
		t.Error("not promoted")
	}
	attach(map[string]any{"addon": "nothing", "app": "garden"}).fails(404, map[string]any{"resource": "add_on"})
	attach(map[string]any{"addon": first, "app": "nowhere"}).fails(404, map[string]any{"resource": "app"})
	attach(map[string]any{"addon": first, "app": "garden", "namespace": "credential:nobody"}).fails(422, map[string]any{"id": "invalid_params"})
	attach(map[string]any{"app": "garden"}).fails(422, map[string]any{"message": "Field addon is required."})
	if n := len(s.do("GET", "/addon-attachments", nil).want(200).names("id")); n != len(s.do("GET", "/apps/garden/addon-attachments", nil).want(200).names("id")) {
		t.Errorf("%d attachments in all", n)
	}
	s.do("GET", "/addons/"+first+"/addon-attachments", nil).want(200)
}

func TestNamesAreResolved(t *testing.T) {
	t.Parallel()
	s := open(t)
	s.app("garden")
	name := s.addon("garden", essential).text("name")
	for _, typed := range []string{"DATABASE_URL", "DATABASE", "database", name, "heroku-postgresql", "garden::DATABASE"} {
		if got := s.do("POST", "/actions/addon-attachments/resolve", map[string]any{"addon_attachment": typed, "app": "garden", "addon_service": "heroku-postgresql"}).want(200); got.text(0, "name") != "DATABASE" {
			t.Errorf("%s: %s", typed, got.body)
		}
	}
	for _, typed := range []string{"DATABASE", name, "heroku-postgresql"} {
		if got := s.do("POST", "/actions/addons/resolve", map[string]any{"addon": typed, "app": "garden"}, "Accept-Expansion", "addon_service,plan").want(200); got.text(0, "name") != name {
			t.Errorf("%s: %s", typed, got.body)
		}
	}
	s.do("POST", "/actions/addons/resolve", map[string]any{"addon": name, "app": nil}).want(200)
	s.do("POST", "/actions/addons/resolve", map[string]any{"addon": "DATABASE", "app": nil}).fails(404, map[string]any{"resource": "add_on"})
	s.do("POST", "/actions/addons/resolve", map[string]any{"addon": name, "addon_service": "heroku-redis"}).fails(404, map[string]any{"resource": "add_on"})
	s.do("POST", "/actions/addon-attachments/resolve", map[string]any{"addon_attachment": "NOTHING", "app": "garden"}).fails(404, map[string]any{"resource": "add_on attachment"})
	s.do("POST", "/actions/addon-attachments/resolve", map[string]any{"addon_attachment": name, "app": "garden", "addon_service": "heroku-redis"}).fails(404, map[string]any{"resource": "add_on attachment"})
	second := s.addon("garden", essential).text("name")
	if n := len(s.do("POST", "/actions/addons/resolve", map[string]any{"addon": "heroku-postgresql", "app": "garden"}).want(200).names("id")); n != 2 {
		t.Errorf("%d of two add-ons", n)
	}
	s.do("GET", "/apps/garden/addons/heroku-postgresql", nil).fails(422, map[string]any{"id": "multiple_matches"})
	s.app("pond")
	s.do("GET", "/apps/pond/addons/"+second, nil).fails(404, map[string]any{"resource": "add_on"})
}

func TestThePageOfAnAddonShowsNoSecret(t *testing.T) {
	t.Parallel()
	s := open(t)
	s.app("garden")
	made := s.addon("garden", essential)
	url := made.text("web_url")
	page := s.send("GET", url, nil).want(200)
	for _, want := range []string{made.text("name"), "Heroku Postgres", "Essential 0", "fake engine", "DATABASE_URL", "garden", "&lt;fake&gt;"} {
		if !strings.Contains(string(page.body), want) {
			t.Errorf("the page does not say %s:\n%s", want, page.body)
		}
	}
	if strings.Contains(string(page.body), "secret1") || !strings.Contains(page.header.Get("Content-Security-Policy"), "default-src 'none'") {
		t.Errorf("page: %v\n%s", page.header, page.body)
	}
	s.send("GET", s.url+addonPath+made.text("id"), nil).fails(404, map[string]any{"id": "not_found"})
	if again := s.do("GET", "/addons/"+made.text("id"), nil).want(200).text("web_url"); again != url {
		t.Error("the URL of the page is another at every look, and with it the ETag")
	}
}

func TestTheMarketplaceIsListed(t *testing.T) {
	t.Parallel()
	s := open(t)
	if diff := cmp.Diff([]string{"heroku-postgresql", "heroku-redis"}, s.do("GET", "/addon-services", nil).want(200).names("name")); diff != "" {
		t.Error(diff)
	}
	service := s.do("GET", "/addon-services/heroku-redis", nil).want(200)
	plans := s.do("GET", "/addon-services/"+service.text("id")+"/plans", nil).want(200)
	if plans.text(0, "name") != "heroku-redis:mini" || plans.at(0, "price", "cents") != 300.0 || plans.at(0, "default") != true {
		t.Errorf("plans: %s", plans.body)
	}
	s.do("GET", "/plans/"+plans.text(0, "id"), nil).want(200)
	s.do("GET", "/addon-services/heroku-redis/plans/mini", nil).want(200)
	s.do("GET", "/addon-services/heroku-redis/plans/"+essential, nil).fails(404, map[string]any{"resource": "plan"})
	s.do("GET", "/addon-services/nothing", nil).fails(404, map[string]any{"id": "not_found"})
}
