// Package catalog is the marketplace: the services, plans and prices that
// elements.yaml lists, and the names and ids by which clients ask for them.
package catalog

import (
	"strings"

	"github.com/google/uuid"

	"niwa/addons"
)

// Catalog is an elements.yaml that was found correct. It does not change.
type Catalog struct {
	categories []Category
	services   []Service
}

// Category groups services in listings.
type Category struct {
	Slug string `yaml:"slug"`
	Name string `yaml:"name"`
}

// Service is something that can be provisioned.
type Service struct {
	ID          string `yaml:"-"`
	Slug        string `yaml:"slug"` // heroku-postgresql
	Name        string `yaml:"name"` // for people: Heroku Postgres
	Description string `yaml:"description"`
	Docs        string `yaml:"docs"` // a URL
	Category    string `yaml:"category"`
	Provider    string `yaml:"provider"` // a folder of addons/

	// Attachment is the name of the first attachment in an app, Prefix is
	// what the names of further ones begin with; see AttachmentName.
	Attachment string `yaml:"attachment"`
	Prefix     string `yaml:"prefix"`
	Colors     bool   `yaml:"colors"`

	Async bool `yaml:"async"` // provisioned after the answer, not before
	// Credentials are made with the add-on, beside the default one. Their
	// names are the provider's.
	Credentials []string `yaml:"credentials"`
	Default     string   `yaml:"default"` // slug of the plan that the bare service name means
	Plans       []Plan   `yaml:"plans"`
}

// Plan is a size and price of a service.
type Plan struct {
	ID          string   `yaml:"-"`
	Name        string   `yaml:"-"` // heroku-postgresql:essential-0
	Default     bool     `yaml:"-"`
	Slug        string   `yaml:"slug"`  // essential-0
	HumanName   string   `yaml:"name"`  // Essential 0
	Cents       int      `yaml:"cents"` // per month
	Memory      Bytes    `yaml:"memory"`
	Storage     Bytes    `yaml:"storage"`
	Connections int      `yaml:"connections"`
	Eviction    string   `yaml:"eviction"`
	Simulated   []string `yaml:"simulated"` // figures that Heroku does not publish
}

// Limits is the part of the plan that its provider enforces.
func (p Plan) Limits() addons.Plan {
	return addons.Plan{
		Name:           p.Name,
		Connections:    p.Connections,
		MemoryBytes:    int64(p.Memory),
		StorageBytes:   int64(p.Storage),
		EvictionPolicy: p.Eviction,
	}
}

// Services lists the services as the file orders them.
func (c *Catalog) Services() []Service { return c.services }

// Service finds a service by its slug or id.
func (c *Catalog) Service(nameOrID string) (Service, bool) {
	for _, s := range c.services {
		if s.Slug == nameOrID || s.ID == nameOrID {
			return s, true
		}
	}
	return Service{}, false
}

// Plan finds a plan by its name (heroku-redis:mini) or id; the name of a
// service means its default plan.
func (c *Catalog) Plan(nameOrID string) (Plan, Service, bool) {
	for _, s := range c.services {
		for _, p := range s.Plans {
			if p.Name == nameOrID || p.ID == nameOrID || p.Default && s.Slug == nameOrID {
				return p, s, true
			}
		}
	}
	return Plan{}, Service{}, false
}

// AttachmentName is the name that a new attachment gets in an app where taken
// tells which names are in use: DATABASE, then HEROKU_POSTGRESQL_AMBER. Once
// the colours are used up, or for a service without them, a number follows.
func (s Service) AttachmentName(taken func(name string) bool) string {
	if !taken(s.Attachment) {
		return s.Attachment
	}
	if s.Colors {
		for _, color := range colors() {
			if name := s.Prefix + "_" + color; !taken(name) {
				return name
			}
		}
	}
	return numbered(s.Prefix, taken)
}

func colors() []string {
	return strings.Fields(`AMBER AQUA BLACK BLUE BRONZE BROWN CHARCOAL COBALT COPPER CRIMSON CYAN
		GOLD GRAY GREEN IVORY JADE MAROON MAUVE NAVY OLIVE ONYX ORANGE PINK PUCE PURPLE RED ROSE
		SILVER TEAL VIOLET WHITE YELLOW`)
}

// stableID is the same for a name in every niwa, so that a client may keep it.
func stableID(kind, name string) string {
	return uuid.NewSHA1(uuid.NameSpaceURL, []byte("https://elements.heroku.com/"+kind+"/"+name)).String()
}
