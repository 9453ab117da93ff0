// Package addons is the contract between the platform and what provisions
// its add-ons. A provider is a folder that exports New and is finished when
// addonstest passes on it; a service is a line of elements.yaml that names a
// provider. What only some providers can do is a one-method interface beside
// Provider, found by type assertion.
package addons

import "context"

// Provider provisions resources. Every method is idempotent, keyed by the
// add-on's uuid, because a call whose answer was lost is made again.
type Provider interface {
	Provision(ctx context.Context, req Request) (Resource, error)
	ChangePlan(ctx context.Context, id string, plan Plan) error
	// Deprovision removes the resource and its data. It is not an error
	// when there is none.
	Deprovision(ctx context.Context, id string) error
}

// Request asks for a resource.
type Request struct {
	ID      string // the add-on's uuid
	Name    string // the add-on's name, for people
	Plan    Plan
	Options map[string]string // what followed "--" in addons:create
}

// Plan is the part of a catalog plan that a provider has to enforce. Zero
// means no limit.
type Plan struct {
	Name           string // heroku-postgresql:essential-0
	Connections    int
	MemoryBytes    int64
	StorageBytes   int64
	EvictionPolicy string
}

// Resource is what was provisioned.
type Resource struct {
	// Config are config vars, named without the attachment's prefix: URL
	// becomes DATABASE_URL in an attachment called DATABASE.
	Config  map[string]string
	Engine  string // external, docker, native, embedded
	Message string // shown once to whoever created it
}

// Default is the name of the credential that Provision makes.
const Default = "default"

// Informer has facts to show in pg:info, redis:info and the add-on's page.
type Informer interface {
	Info(ctx context.Context, id string, plan Plan) ([]Row, error)
}

// Row is one fact, with Heroku's name for it: "Connections", "2/20".
type Row struct {
	Name   string   `json:"name"`
	Values []string `json:"values"`
}

// Rotator replaces the secret of a credential and returns its new config.
// The old secret no longer works when it returns.
type Rotator interface {
	Rotate(ctx context.Context, id, credential string) (map[string]string, error)
}

// CredentialCreator makes further credentials, with the rights that name
// implies, and returns their config.
type CredentialCreator interface {
	CreateCredential(ctx context.Context, id, credential string) (map[string]string, error)
}

// CredentialDestroyer removes a credential that CredentialCreator made.
type CredentialDestroyer interface {
	DestroyCredential(ctx context.Context, id, credential string) error
}

// Resetter empties a resource.
type Resetter interface {
	Reset(ctx context.Context, id string) error
}

// Disconnector ends every client connection to a resource.
type Disconnector interface {
	Disconnect(ctx context.Context, id string) error
}

// Configurer reads and changes settings of a live resource. A change is kept
// over restarts.
type Configurer interface {
	Settings(ctx context.Context, id string) ([]Setting, error)
	Configure(ctx context.Context, id, setting, value string) ([]Setting, error)
}

// Setting is one knob, with what each value does where there are few.
type Setting struct {
	Name    string
	Value   string
	Default string
	Desc    string
	Values  map[string]string
}

// CredentialLister tells every credential of a resource, with its config.
type CredentialLister interface {
	Credentials(ctx context.Context, id string) (map[string]map[string]string, error)
}

// StatsResetter sets the counters that a resource keeps back to zero.
type StatsResetter interface {
	ResetStats(ctx context.Context, id string) error
}
