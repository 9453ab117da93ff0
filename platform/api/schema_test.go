package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// exceptions are where niwa's answers cannot be what the published schema
// says. A pattern or format is taken out, a state is added.
func exceptions() map[string]func(node map[string]any) {
	drop := func(keyword string) func(map[string]any) {
		return func(node map[string]any) { delete(node, keyword) }
	}
	return map[string]func(map[string]any){
		// Apps are not under herokuapp.com, nor repositories at git.heroku.com.
		"app/definitions/web_url": drop("pattern"),
		"app/definitions/git_url": drop("pattern"),
		// The schema's own mistake: a host name is no URI.
		"domain/definitions/hostname": drop("format"),
		// Go has no look-ahead; niwa has no spaces.
		"space/definitions/name": drop("pattern"),
		// The official CLI knows the state deprovisioning; the schema forgets it.
		"add-on/definitions/state": func(node map[string]any) {
			node["enum"] = append(node["enum"].([]any), "deprovisioning")
		},
	}
}

// extras are what the official CLI reads beyond the published schema: always
// there with an exclamation mark, and else when the client asks for it. The
// field "*" allows all.
func extras() map[string][]string {
	return map[string][]string{
		"app":                                {"create_status!", "process_tier!", "locked!"},
		"plan/properties/price":              {"metered!"},
		"add-on/definitions/addon_service":   {"*"}, // Accept-Expansion: addon_service
		"add-on/definitions/plan":            {"*"}, // Accept-Expansion: plan
		"add-on-attachment":                  {"config_vars"},
		"add-on-attachment/properties/addon": {"plan"},
		"team-app":                           {"*"}, // answered with a whole app
	}
}

// schema is Heroku's, made strict.
type schema struct {
	doc      map[string]any
	links    []link
	compiler *jsonschema.Compiler
	mu       sync.Mutex
}

type link struct {
	resource, method, path string // path with {} for each parameter
	target                 string // pointer to the schema of the answer; empty for none
}

var loadSchema = sync.OnceValues(func() (*schema, error) {
	data, err := os.ReadFile("testdata/platform-schema.json")
	if err != nil {
		return nil, err
	}
	parsed, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	s := &schema{doc: parsed.(map[string]any)}
	definitions := s.doc["definitions"].(map[string]any)
	for path, change := range exceptions() {
		change(nodeAt(definitions, path))
	}
	delete(s.doc, "id")
	strict(s.doc)
	for path, fields := range extras() {
		node := nodeAt(definitions, path)
		properties, ok := node["properties"].(map[string]any)
		for _, field := range fields {
			if field == "*" {
				delete(node, "additionalProperties")
				delete(node, "required")
				continue
			}
			name, always := strings.CutSuffix(field, "!")
			if ok {
				properties[name] = map[string]any{}
			}
			if always {
				required, _ := node["required"].([]any)
				node["required"] = append(required, name)
			}
		}
	}
	for _, resource := range slices.Sorted(maps.Keys(definitions)) {
		s.addLinks(resource, definitions[resource].(map[string]any))
	}
	s.compiler = jsonschema.NewCompiler()
	s.compiler.DefaultDraft(jsonschema.Draft4)
	s.compiler.AssertFormat()
	return s, s.compiler.AddResource("http://schema.test/", s.doc)
})

func nodeAt(node map[string]any, path string) map[string]any {
	for step := range strings.SplitSeq(path, "/") {
		node = node[step].(map[string]any)
	}
	return node
}

// strict turns Heroku's strictProperties into what validators know, and takes
// out the $schema of hyper-schemas.
func strict(node any) {
	switch node := node.(type) {
	case []any:
		for _, child := range node {
			strict(child)
		}
	case map[string]any:
		if _, isText := node["$schema"].(string); isText {
			delete(node, "$schema")
		}
		properties, ok := node["properties"].(map[string]any)
		if ok && node["strictProperties"] == true {
			names := []any{}
			for name := range properties {
				names = append(names, name)
			}
			node["required"], node["additionalProperties"] = names, false
		}
		if names, ok := node["required"].([]any); ok && len(names) == 0 {
			delete(node, "required") // draft-04 wants one at least
		}
		for _, child := range node {
			strict(child)
		}
	}
}

func (s *schema) addLinks(resource string, definition map[string]any) {
	links, _ := definition["links"].([]any)
	for i, l := range links {
		l := l.(map[string]any)
		out := link{resource: resource, method: l["method"].(string)}
		href, err := url.PathUnescape(l["href"].(string))
		if err != nil {
			panic(err)
		}
		for href != "" {
			before, rest, found := strings.Cut(href, "{(")
			out.path += before
			if !found {
				break
			}
			out.path += "{}"
			_, href, _ = strings.Cut(rest, ")}")
		}
		if _, ok := l["targetSchema"]; ok {
			out.target = fmt.Sprintf("#/definitions/%s/links/%d/targetSchema", resource, i)
		}
		s.links = append(s.links, out)
	}
}

// find is the link that a request is for: the one with the most that is equal
// to the letter.
func (s *schema) find(method, path string) (best link, ok bool) {
	most := -1
	for _, l := range s.links {
		if l.method != method {
			continue
		}
		if same := matching(l.path, path); same > most {
			best, most, ok = l, same, true
		}
	}
	return best, ok
}

// matching counts the segments that are equal to the letter; -1 when a path
// does not fit.
func matching(pattern, path string) int {
	p, q := strings.Split(pattern, "/"), strings.Split(path, "/")
	if len(p) != len(q) {
		return -1
	}
	same := 0
	for i := range p {
		switch {
		case p[i] == q[i]:
			same++
		case p[i] != "{}" || q[i] == "":
			return -1
		}
	}
	return same
}

// check validates an answer against the schema of its link.
func (s *schema) check(l link, body []byte) error {
	if l.target == "" {
		return nil
	}
	s.mu.Lock()
	compiled, err := s.compiler.Compile("http://schema.test/" + l.target)
	s.mu.Unlock()
	if err != nil {
		return err
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		return err
	}
	return compiled.Validate(value)
}

// beyondSchema are routes that the official clients call and the published
// schema does not have, and those of niwa's own client.
func beyondSchema() []string {
	return []string{
		"DELETE /oauth/sessions/{}",
		"GET /addons/{}/config/{}", "GET /apps/{}/router-metrics/errors", "GET /apps/{}/router-metrics/latency",
		"GET /apps/{}/router-metrics/status", "GET /apps/{}/router-metrics/throughput",
		"GET /niwa/apps/{}/routing", "GET /teams/apps",
		"PATCH /niwa/apps/{}/routing",
		"POST /apps/{}/dynos/{}",
	}
}

func TestLinksOfTheSchemaThatAreNotServedAreListed(t *testing.T) {
	s, err := loadSchema()
	if err != nil {
		t.Fatal(err)
	}
	a := New(Config{})
	served := func(l link) bool {
		return slices.ContainsFunc(a.routes(), func(r route) bool {
			return r.method == l.method && matching(shape(r.path), l.path) >= 0
		})
	}
	var missing, beyond []string
	count := 0
	for _, l := range s.links {
		if served(l) {
			count++
		} else {
			missing = append(missing, l.method+" "+l.path)
		}
	}
	slices.Sort(missing)
	missing = slices.Compact(missing)
	t.Logf("%d of %d links are served", count, len(s.links))
	if len(s.links) != 305 {
		t.Errorf("the schema has %d links, not 305", len(s.links))
	}
	golden(t, "testdata/missing-links.golden", strings.Join(missing, "\n")+"\n")

	for _, r := range a.routes() {
		path := shape(r.path)
		if !slices.ContainsFunc(s.links, func(l link) bool { return l.method == r.method && matching(path, l.path) >= 0 }) {
			beyond = append(beyond, r.method+" "+path)
		}
	}
	slices.Sort(beyond)
	if diff := cmp.Diff(beyondSchema(), beyond); diff != "" {
		t.Errorf("routes beyond the schema:\n%s", diff)
	}
}

// shape writes the parameters of a route as the schema's links are written.
func shape(path string) string {
	parts := strings.Split(path, "/")
	for i, p := range parts {
		if strings.HasPrefix(p, ":") {
			parts[i] = "{}"
		}
	}
	return strings.Join(parts, "/")
}

func golden(t *testing.T, path, got string) {
	t.Helper()
	if os.Getenv("NIWA_UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs; NIWA_UPDATE_GOLDEN=1 writes it anew:\n%s", path, diff)
	}
}

func isJSON(body []byte) bool { return json.Valid(body) }
