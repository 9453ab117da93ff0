// Package platform holds the nouns of the platform: what an app, a release,
// a dyno and an add-on are, and the one error that crosses the wire. It says
// nothing of how they are stored, served or run, and imports nothing of niwa.
//
// The words are Heroku's (https://devcenter.heroku.com/articles/platform-api-reference).
// Every noun is identified by a lower-case UUID; times are UTC.
package platform

import "time"

// Account is the one user of a niwa: it owns every app.
type Account struct {
	ID        string `bun:",pk"`
	Email     string
	Name      string
	CreatedAt time.Time
	UpdatedAt time.Time
}

// Authorization is a token that speaks for the account. Only a hash of the
// token is kept; Hint is its last four characters, for listings.
type Authorization struct {
	ID          string `bun:",pk"`
	TokenID     string
	Description string
	Scope       []string
	TokenHash   string
	Hint        string
	ExpiresAt   *time.Time
	CreatedAt   time.Time
	UpdatedAt   time.Time
}

// App is a name under which releases run.
type App struct {
	ID          string `bun:",pk"`
	Name        string
	Stack       string // the stack its current slug was built for
	BuildStack  string // the stack its next build will use
	Maintenance bool
	// Preboot says whether new web dynos serve before the old ones stop; nil
	// leaves it to their number: more than one do.
	Preboot *bool
	// RuntimeMetrics says whether the log tells what dynos use.
	RuntimeMetrics bool
	Routing        Routing
	// ACM says whether niwa gets certificates for the app's domains.
	ACM bool
	// Restarts says since when no dyno of the formation may be: of all (""),
	// of a type, or the one of a name.
	Restarts map[string]time.Time
	// UID is the unprivileged Unix user that the app's builds and dynos run
	// as when niwa is root; no two apps ever share one.
	UID                          int
	BuildpackProvidedDescription *string
	RepoSize                     *int64 // bytes; nil before the first push
	SlugSize                     *int64 // bytes; nil before the first release with a slug
	CreatedAt                    time.Time
	UpdatedAt                    time.Time
	ReleasedAt                   *time.Time
}

// Config is a set of config vars, name to value. The store keeps it sealed.
type Config map[string]string

// Stacks that apps are built for and run on.
const (
	DefaultStack   = "heroku-24" // buildpacks make a slug
	ContainerStack = "container" // Dockerfiles make images
)

// Slug is a compiled app and the process types it declares. It is a gzipped
// tar of what becomes /app or, on the container stack, images.
type Slug struct {
	ID                           string `bun:",pk"`
	AppID                        string
	Stack                        string
	Commit                       *string
	CommitDescription            *string
	BuildpackProvidedDescription *string
	Checksum                     string            // SHA256:hex of the tarball; empty for images
	Size                         int64             // bytes of the tarball, or of the images
	ProcessTypes                 map[string]string // process type to command, as it is shown
	Images                       map[string]Image  // by process type; none where there is a tarball
	CreatedAt                    time.Time
	UpdatedAt                    time.Time
}

// Image is a container image that a process type runs.
type Image struct {
	ID      string // as the engine knows it: sha256:hex
	Command string // for a shell; empty for the image's own ENTRYPOINT and CMD
}

// Statuses of builds and releases.
const (
	Pending   = "pending"
	Succeeded = "succeeded"
	Failed    = "failed"
	Expired   = "expired"
)

// Build turns source into a slug and, when it succeeds, a release.
type Build struct {
	ID            string `bun:",pk"`
	AppID         string
	Status        string
	Stack         string
	Buildpacks    []string // URLs, in the order they ran
	SourceURL     string   // where the source came from; empty for a push
	SourceVersion string   // a commit, or what the client called it
	// SourceDescription is the subject of the commit that was pushed.
	SourceDescription string
	// SourceChecksum is what the client says the tarball hashes to, as
	// SHA256:hex, or empty.
	SourceChecksum string
	SlugID         *string
	ReleaseID      *string
	CreatedAt      time.Time
	UpdatedAt      time.Time
}

// Release is a slug and the config vars it runs with, numbered from 1 within
// its app. It is current when it is the newest that succeeded.
type Release struct {
	ID             string `bun:",pk"`
	AppID          string
	Version        int
	SlugID         *string
	Status         string
	Description    string
	AddonPlanNames []string
	// HasOutput says that a release phase ran, so that there is output to read.
	HasOutput bool
	CreatedAt time.Time
	UpdatedAt time.Time

	// Current says that this is the release that runs, and
	// EligibleForRollback that one could go back to it: facts about the
	// other releases, worked out when it is read.
	Current             bool `bun:"-"`
	EligibleForRollback bool `bun:"-"`
}

// Formation is how many dynos of a process type an app wants, and their size.
type Formation struct {
	ID        string `bun:",pk"`
	AppID     string
	Type      string
	Command   string
	Quantity  int
	Size      string
	CreatedAt time.Time
	UpdatedAt time.Time
}

// States of a dyno.
const (
	DynoStarting = "starting"
	DynoUp       = "up"
	DynoIdle     = "idle"
	DynoCrashed  = "crashed"
	DynoDown     = "down"
)

// Dyno is one container or process group that runs a command of an app.
type Dyno struct {
	ID        string `bun:",pk"`
	AppID     string
	ReleaseID string
	Version   int    // the release's version
	Name      string // web.1, run.4821, release.7
	Type      string // web, run, release
	Command   string
	Size      string
	State     string
	Addr      string `bun:"-"` // host:port where a web dyno that has been started listens; empty for others
	AttachURL string `bun:"-"` // where to meet a one-off dyno; empty for others
	CreatedAt time.Time
	UpdatedAt time.Time
}

// Feature is something that an app can have turned on.
type Feature struct {
	ID          string
	Name        string
	DisplayName string
	Description string
	DocURL      string
	Labs        bool // it is an experiment: heroku labs lists it, and heroku features does not
	Enabled     bool
	CreatedAt   time.Time
	UpdatedAt   time.Time
}

// States of an add-on.
const (
	AddonProvisioning   = "provisioning"
	AddonProvisioned    = "provisioned"
	AddonDeprovisioning = "deprovisioning"
	AddonDeprovisioned  = "deprovisioned"
)

// Addon is a provisioned plan of a service, owned and billed by one app.
type Addon struct {
	ID               string `bun:",pk"`
	AppID            string
	Name             string // unique over the platform: postgresql-curved-14721
	Service          string // heroku-postgresql
	Plan             string // heroku-postgresql:essential-0
	State            string
	Engine           string // which engine serves it here: native, embedded
	Options          map[string]string
	ProvisionMessage string
	Rotating         []string // credentials that are to get new secrets
	CreatedAt        time.Time
	UpdatedAt        time.Time
}

// Attachment makes an add-on's config vars appear in an app under a name:
// DATABASE brings DATABASE_URL.
type Attachment struct {
	ID      string `bun:",pk"`
	AddonID string
	AppID   string
	Name    string
	// Namespace is nil for the add-on's own credential, or
	// "credential:NAME" for another.
	Namespace *string
	CreatedAt time.Time
	UpdatedAt time.Time
}

// BuildpackInstallation is one buildpack of an app, in the order they run.
type BuildpackInstallation struct {
	AppID   string `bun:",pk"`
	Ordinal int    `bun:",pk"`
	URL     string // a URL, or urn:buildpack:heroku/go
	Name    string // heroku/go, or the URL
}

// LogLine is one line of an app's log.
type LogLine struct {
	ID     uint64 // rises by one within an app, never reused
	Time   time.Time
	Source string // app or heroku
	Dyno   string // web.1, router, api
	Text   string // without the newline
}
