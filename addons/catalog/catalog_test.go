package catalog_test

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"niwa/addons"
	"niwa/addons/catalog"
)

func elements(t testing.TB) []byte {
	t.Helper()
	data, err := os.ReadFile("../../elements.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func load(t testing.TB) *catalog.Catalog {
	t.Helper()
	c, err := catalog.Load(elements(t))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestAPlanIsFoundByNameByIDAndByItsServicesName(t *testing.T) {
	c := load(t)
	plan, service, ok := c.Plan("heroku-postgresql:essential-0")
	if !ok || service.Slug != "heroku-postgresql" || plan.Cents != 500 {
		t.Fatalf("got %+v of %q, %v", plan, service.Slug, ok)
	}
	for _, name := range []string{"heroku-postgresql", plan.ID} {
		if same, _, ok := c.Plan(name); !ok || same.Name != plan.Name {
			t.Errorf("Plan(%q) = %q, %v; want %q", name, same.Name, ok, plan.Name)
		}
	}
	for _, name := range []string{"", "heroku-redis:", "heroku-redis:essential-0", "essential-0", service.ID} {
		if plan, _, ok := c.Plan(name); ok {
			t.Errorf("Plan(%q) found %q", name, plan.Name)
		}
	}
	if mini, _, _ := c.Plan("heroku-redis"); mini.Name != "heroku-redis:mini" {
		t.Errorf("the default plan of heroku-redis is %q", mini.Name)
	}
}

func TestAServiceIsFoundByNameAndByID(t *testing.T) {
	c := load(t)
	for _, want := range c.Services() {
		for _, name := range []string{want.Slug, want.ID} {
			if got, ok := c.Service(name); !ok || got.Slug != want.Slug {
				t.Errorf("Service(%q) = %q, %v", name, got.Slug, ok)
			}
		}
	}
	if _, ok := c.Service("heroku-kafka"); ok {
		t.Error("found a service that is not listed")
	}
}

func TestIDsAreTheSameInEveryNiwa(t *testing.T) {
	service, _ := load(t).Service("heroku-redis")
	want := uuid.NewSHA1(uuid.NameSpaceURL, []byte("https://elements.heroku.com/addons/heroku-redis")).String()
	if service.ID != want {
		t.Errorf("id of heroku-redis is %s, want %s", service.ID, want)
	}
	if v := uuid.MustParse(service.Plans[0].ID).Version(); v != 5 {
		t.Errorf("a plan's id is a UUID of version %d, want 5", v)
	}
}

func TestLimitsCarryWhatTheProviderEnforces(t *testing.T) {
	c := load(t)
	mini, _, _ := c.Plan("heroku-redis:mini")
	want := addons.Plan{Name: "heroku-redis:mini", Connections: 20, MemoryBytes: 25 << 20, EvictionPolicy: "noeviction"}
	if diff := cmp.Diff(want, mini.Limits()); diff != "" {
		t.Error(diff)
	}
	essential, _, _ := c.Plan("heroku-postgresql:essential-1")
	want = addons.Plan{Name: "heroku-postgresql:essential-1", Connections: 20, StorageBytes: 10 << 30}
	if diff := cmp.Diff(want, essential.Limits()); diff != "" {
		t.Error(diff)
	}
}

func TestEveryPlanLimitsConnections(t *testing.T) {
	for _, service := range load(t).Services() {
		for _, plan := range service.Plans {
			if plan.Connections == 0 {
				t.Errorf("%s has no connection limit", plan.Name)
			}
		}
	}
}

func TestAttachmentNames(t *testing.T) {
	postgres, _ := load(t).Service("heroku-postgresql")
	used := map[string]bool{}
	taken := func(name string) bool { return used[name] }
	for _, want := range []string{"DATABASE", "HEROKU_POSTGRESQL_AMBER", "HEROKU_POSTGRESQL_AQUA"} {
		got := postgres.AttachmentName(taken)
		if got != want {
			t.Errorf("with %v taken: %q, want %q", used, got, want)
		}
		used[got] = true
	}
	for range 40 {
		used[postgres.AttachmentName(taken)] = true
	}
	if !used["HEROKU_POSTGRESQL_YELLOW"] || !used["HEROKU_POSTGRESQL_2"] {
		t.Errorf("after every colour numbers must follow: %v", used)
	}
}

func TestAWrongFileIsRefusedWithTheLine(t *testing.T) {
	good := string(elements(t))
	tests := map[string]struct{ old, new, want string }{
		"an unknown key":           {"async: true", "asink: true", "field asink not found"},
		"an unknown key of a plan": {"name: Mini,", "name: Mini, nmae: x,", "field nmae not found"},
		"a plan listed twice":      {"slug: essential-1", "slug: essential-0", `"essential-0" is listed twice`},
		"a service listed twice":   {"slug: heroku-redis", "slug: heroku-postgresql", `"heroku-postgresql" is listed twice`},
		"a negative price":         {"cents: 300", "cents: -300", `"heroku-redis:mini" has a negative price`},
		"a missing price":          {"cents: 300,", "", `"heroku-redis:mini" has no price`},
		"an unknown provider":      {"provider: redis", "provider: radish", `unknown provider "radish"`},
		"an unknown category":      {"category: data-stores\n    provider: redis", "category: x\n    provider: redis", `unknown category "x"`},
		"an unknown default":       {"default: mini", "default: maxi", `default plan "maxi"`},
		"an unknown policy":        {"25MB, connections: 20, eviction: noeviction", "25MB, connections: 20, eviction: never", `eviction policy "never"`},
		"a size without a unit":    {"memory: 25MB", "memory: 25", `"25" is not a size`},
		"a size beyond counting":   {"memory: 25MB", "memory: 99999999999TB", "is not a size"},
		"a slug with a colon":      {"slug: mini", "slug: 'mini:1'", "a slug is"},
		"a simulated figure amiss": {"eviction: noeviction}\n      - {slug: premium-0", "simulated: [storage]}\n      - {slug: premium-0", "has no such figure"},
		"documentation nowhere":    {"docs: https://devcenter.heroku.com/articles/heroku-redis", "docs: javascript:alert(1)", "must be a URL"},
		"a name no config var has": {"prefix: HEROKU_REDIS", "prefix: heroku redis", "names of config vars"},
		"a key given twice":        {"async: true", "async: true\n    async: true", "already defined"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if !strings.Contains(good, tt.old) {
				t.Fatalf("elements.yaml no longer has %q", tt.old)
			}
			_, err := catalog.Load([]byte(strings.Replace(good, tt.old, tt.new, 1)))
			if err == nil {
				t.Fatal("accepted")
			}
			if !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "line ") {
				t.Errorf("error %q must name the line and say %q", err, tt.want)
			}
		})
	}
}

func TestAnErrorNamesTheLineOfTheWrongPlan(t *testing.T) {
	text := string(elements(t))
	line := strings.Count(text[:strings.Index(text, "slug: mini")], "\n") + 1
	_, err := catalog.Load([]byte(strings.Replace(text, "cents: 300", "cents: -1", 1)))
	if want := "line " + strconv.Itoa(line) + ":"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want %q in it", err, want)
	}
}

func TestFilesThatAreNoCatalogAreRefused(t *testing.T) {
	for _, text := range []string{"", "~", "[]", "services: []", "services: {}", "a: &a [*a]", "--- {}\n--- {}", "\x00", string(elements(t)) + "\n---\nservices: []\n"} {
		if _, err := catalog.Load([]byte(text)); err == nil {
			t.Errorf("accepted %.40q", text)
		}
	}
}

func FuzzLoad(f *testing.F) {
	f.Add(elements(f))
	f.Add([]byte("services: [{slug: a, plans: [{slug: b, cents: 1}], default: b}]"))
	f.Add([]byte("services: &s [*s]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := catalog.Load(data)
		if err != nil {
			return
		}
		for _, s := range c.Services() {
			if p, _, ok := c.Plan(s.Slug); !ok || p.Cents < 0 {
				t.Errorf("%q was accepted without a usable default plan", s.Slug)
			}
		}
	})
}
