// Package route is the routing table: which app a Host belongs to and where
// its web dynos are. A Table is immutable; Live holds the one in use, swaps
// it whole and keeps the last good one on disk, so that the router starts
// and goes on without the control plane.
package route

import (
	"iter"
	"slices"
	"strings"
)

// State says what the router does with a request for an app.
type State string

// States of an app, as the router needs to know them.
const (
	Serving     State = "serving"     // at least one web dyno is up
	Starting    State = "starting"    // web dynos are booting and none is up yet: requests queue
	Crashed     State = "crashed"     // every web dyno has crashed or failed to boot
	NoDynos     State = "no-dynos"    // web is scaled to 0, or there is no web process type
	Maintenance State = "maintenance" // maintenance mode, whatever its dynos do
	Blank       State = "blank"       // nothing has been deployed yet
)

func (s State) known() bool {
	switch s {
	case Serving, Starting, Crashed, NoDynos, Maintenance, Blank:
		return true
	}
	return false
}

// App is what the router knows of an app.
type App struct {
	ID    string `json:"id"` // names the app to the log; requests in flight are counted under it
	Name  string `json:"name"`
	State State  `json:"state"`
	// Dynos are the web dynos that are up, and only those.
	Dynos []Dyno `json:"dynos,omitempty"`
	// ErrorPageURL and MaintenancePageURL are the app's config vars
	// ERROR_PAGE_URL and MAINTENANCE_PAGE_URL; empty means the router's own page.
	ErrorPageURL       string  `json:"error_page_url,omitempty"`
	MaintenancePageURL string  `json:"maintenance_page_url,omitempty"`
	Routing            Routing `json:"routing,omitzero"`
}

// Routing is how an app's requests are to be routed, where that is not as
// Router 2.0 does it.
type Routing struct {
	// Policy is one of package policy's; empty means random, as on Heroku.
	Policy string `json:"policy,omitempty"`
	// Legacy has the app served as Heroku's router before Router 2.0 did.
	Legacy bool `json:"legacy,omitempty"`
	// Affinity keeps a client with the dyno that it was first given
	// (https://devcenter.heroku.com/articles/session-affinity).
	Affinity bool `json:"affinity,omitempty"`
	// EndToEndContinue leaves it to the app whether a client that expects
	// 100-continue goes on.
	EndToEndContinue bool `json:"end_to_end_continue,omitempty"`
	// NoKeepAlive has each request go to the dyno over a connection of its own.
	NoKeepAlive bool `json:"no_keep_alive,omitempty"`
	// Weights are shares of the requests by the names of dynos, for a canary;
	// a dyno that has none has 1, and one of 0 gets no request.
	Weights map[string]int `json:"weights,omitempty"`
}

// Dyno is a web dyno that listens.
type Dyno struct {
	Name string `json:"name"` // web.1
	Addr string `json:"addr"` // host:port to dial
}

// Entry is one app and the hosts that lead to it. A host may begin with "*."
// to take every subdomain that no longer host names.
type Entry struct {
	Hosts []string `json:"hosts"`
	App   App      `json:"app"`
}

// Table maps hosts to apps. It never changes, so that one request sees one
// state of the world; what it hands out must not be modified.
type Table struct {
	entries []Entry
	hosts   map[string]*App
	ids     map[string]*App
}

// New makes a table, copying what it is given. A host that is listed twice
// belongs to the first entry that lists it; one that cannot be a host name
// leads nowhere.
func New(entries []Entry) *Table {
	t := &Table{entries: make([]Entry, len(entries)), hosts: make(map[string]*App), ids: make(map[string]*App)}
	for i, e := range entries {
		e.Hosts = slices.Clone(e.Hosts)
		e.App.Dynos = slices.Clone(e.App.Dynos)
		t.entries[i] = e
		t.ids[e.App.ID] = &t.entries[i].App
		for _, host := range e.Hosts {
			key, ok := t.key(host)
			if !ok {
				continue
			}
			if _, taken := t.hosts[key]; !taken {
				t.hosts[key] = &t.entries[i].App
			}
		}
	}
	return t
}

// key is what a listed host is found under: its host name, or for
// "*.example.com" the name with the star left in.
func (*Table) key(listed string) (string, bool) {
	rest, wild := strings.CutPrefix(listed, "*.")
	host, ok := Host(rest)
	if wild {
		host = "*." + host
	}
	return host, ok
}

// Lookup finds the app of a Host header: case, port and a trailing dot do not
// matter, and an exact host wins over the longest wildcard.
func (t *Table) Lookup(header string) (*App, bool) {
	host, ok := Host(header)
	if !ok {
		return nil, false
	}
	if app, ok := t.hosts[host]; ok {
		return app, true
	}
	for {
		_, parent, more := strings.Cut(host, ".")
		if !more {
			return nil, false
		}
		if app, ok := t.hosts["*."+parent]; ok {
			return app, true
		}
		host = parent
	}
}

// App finds an app by its id.
func (t *Table) App(id string) (*App, bool) {
	app, ok := t.ids[id]
	return app, ok
}

// Resting is the table with no dyno up: requests for apps that serve wait.
func (t *Table) Resting() *Table {
	resting := New(t.entries)
	for app := range resting.Apps() {
		app.Dynos = nil
		if app.State == Serving {
			app.State = Starting
		}
	}
	return resting
}

// Apps yields every app of the table.
func (t *Table) Apps() iter.Seq[*App] {
	return func(yield func(*App) bool) {
		for i := range t.entries {
			if !yield(&t.entries[i].App) {
				return
			}
		}
	}
}

// Host is the host name in a Host header: lower case, without port and
// trailing dot. It is false unless what is left is letters, digits, '-', '_'
// and '.', so that a host that was found is safe to print anywhere.
func Host(header string) (string, bool) {
	name, port, _ := strings.Cut(header, ":")
	if strings.Trim(port, "0123456789") != "" {
		return "", false
	}
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if name == "" || len(name) > 253 {
		return "", false
	}
	for _, c := range []byte(name) {
		switch {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '_', c == '.':
		default:
			return "", false
		}
	}
	return name, true
}
