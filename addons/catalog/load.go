package catalog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/url"
	"regexp"
	"slices"
	"strconv"

	"gopkg.in/yaml.v3"

	"niwa/addons"
)

// Load reads an elements.yaml. It accepts nothing that it does not
// understand: an unknown key, a name used twice or a price below zero is an
// error that names the line.
func Load(data []byte) (*Catalog, error) {
	var root yaml.Node
	if err := yaml.Unmarshal(data, &root); err != nil {
		return nil, fmt.Errorf("elements: %w", err)
	}
	var file struct {
		Categories []Category `yaml:"categories"`
		Services   []Service  `yaml:"services"`
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	decoder.KnownFields(true)
	if err := decoder.Decode(&file); err != nil {
		return nil, fmt.Errorf("elements: %w", err)
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.New("elements: the file holds more than one YAML document")
	}
	c := &Catalog{categories: file.Categories, services: file.Services}
	check := checker{root: &root, seen: map[string]bool{}}
	check.catalog(c)
	if len(check.errs) > 0 {
		return nil, fmt.Errorf("elements: %w", errors.Join(check.errs...))
	}
	c.identify()
	return c, nil
}

// identify fills in what follows from the slugs.
func (c *Catalog) identify() {
	for i := range c.services {
		s := &c.services[i]
		s.ID = stableID("addons", s.Slug)
		for j := range s.Plans {
			p := &s.Plans[j]
			p.Name = s.Slug + ":" + p.Slug
			p.ID = stableID("plans", p.Name)
			p.Default = p.Slug == s.Default
		}
	}
}

// providers are the folders of addons/ that serve something.
func providers() []string { return []string{"postgres", "redis"} }

func evictionPolicies() []string {
	return []string{"noeviction", "allkeys-lru", "allkeys-lfu", "allkeys-random",
		"volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl"}
}

// checker collects what is wrong with a file, each with its line.
type checker struct {
	root *yaml.Node
	seen map[string]bool
	errs []error
}

func (k *checker) catalog(c *Catalog) {
	if len(c.services) == 0 {
		k.errs = append(k.errs, errors.New("the file lists no services"))
	}
	for i, category := range c.categories {
		at := []any{"categories", i}
		k.slug("category", category.Slug, at)
		k.require(category.Name != "", at, "category %q has no name", category.Slug)
	}
	for i, service := range c.services {
		k.service(c, service, []any{"services", i})
	}
}

func (k *checker) service(c *Catalog, s Service, at []any) {
	k.slug("service", s.Slug, at)
	k.require(s.Name != "", at, "service %q has no name", s.Slug)
	k.require(isURL(s.Docs), at, "docs of %q must be a URL", s.Slug)
	k.require(slices.Contains(providers(), s.Provider), at,
		"service %q names an unknown provider %q; known: %q", s.Slug, s.Provider, providers())
	k.require(slices.ContainsFunc(c.categories, func(g Category) bool { return g.Slug == s.Category }), at,
		"service %q names an unknown category %q", s.Slug, s.Category)
	k.require(isEnvName(s.Attachment) && isEnvName(s.Prefix), at,
		"attachment and prefix of %q must be names of config vars, like HEROKU_REDIS", s.Slug)
	k.require(slices.ContainsFunc(s.Plans, func(p Plan) bool { return p.Slug == s.Default }), at,
		"the default plan %q of %q is not in its list", s.Default, s.Slug)
	for _, name := range s.Credentials {
		k.require(isSlug(name) && name != addons.Default, at, "%q of %q is no name for a further credential", name, s.Slug)
	}
	for i, plan := range s.Plans {
		k.plan(s, plan, append(slices.Clone(at), "plans", i))
	}
}

func (k *checker) plan(s Service, p Plan, at []any) {
	name := s.Slug + ":" + p.Slug
	k.slug("plan of "+s.Slug, p.Slug, at)
	k.require(p.HumanName != "", at, "plan %q has no name", name)
	k.require(k.has("cents", at), at, "plan %q has no price; write cents: 0 if it is free", name)
	k.require(p.Cents >= 0, at, "plan %q has a negative price", name)
	k.require(p.Connections >= 0, at, "plan %q has a negative connection limit", name)
	k.require(p.Eviction == "" || slices.Contains(evictionPolicies(), p.Eviction), at,
		"plan %q has an unknown eviction policy %q; known: %q", name, p.Eviction, evictionPolicies())
	for _, field := range p.Simulated {
		k.require(slices.Contains([]string{"cents", "memory", "storage", "connections"}, field) && k.has(field, at), at,
			"plan %q says that %q is simulated, and has no such figure", name, field)
	}
}

// slug checks that a slug is well formed and the only one of its kind.
func (k *checker) slug(kind, slug string, at []any) {
	k.require(isSlug(slug), at, "%s %q: a slug is lower-case letters, digits and dashes", kind, slug)
	k.require(!k.seen[kind+"/"+slug], at, "%s %q is listed twice", kind, slug)
	k.seen[kind+"/"+slug] = true
}

func (k *checker) require(ok bool, at []any, format string, args ...any) {
	if !ok {
		k.errs = append(k.errs, fmt.Errorf("line %d: %s", k.node(at).Line, fmt.Sprintf(format, args...)))
	}
}

func (k *checker) has(key string, at []any) bool {
	return k.node(append(slices.Clone(at), key)) != k.node(at)
}

// node follows keys and indexes from the top of the file, as far as they lead.
func (k *checker) node(path []any) *yaml.Node {
	n := k.root
	if n.Kind == yaml.DocumentNode {
		n = n.Content[0]
	}
	for _, step := range path {
		next := child(n, step)
		if next == nil {
			break
		}
		n = next
	}
	return n
}

func child(n *yaml.Node, step any) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	switch step := step.(type) {
	case int:
		if step < len(n.Content) {
			return n.Content[step]
		}
	case string:
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == step {
				return n.Content[i+1]
			}
		}
	}
	return nil
}

func isSlug(s string) bool    { return regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`).MatchString(s) }
func isEnvName(s string) bool { return regexp.MustCompile(`^[A-Z][A-Z0-9_]*$`).MatchString(s) }

func isURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Scheme == "https" && u.Host != ""
}

func numbered(prefix string, taken func(string) bool) string {
	for n := 1; ; n++ {
		if name := prefix + "_" + strconv.Itoa(n); !taken(name) {
			return name
		}
	}
}
