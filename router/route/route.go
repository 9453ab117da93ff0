// Package route is the routing table: which app a Host belongs to and where
// its web dynos are. A Table changes an app at a time, however many there are,
// and what a request has looked up never does. It is kept on disk, so that the
// router starts and goes on without the control plane.
package route

import "strings"

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

// states are all of them; their places here are what they are in bytes.
func states() [6]State { return [...]State{Serving, Starting, Crashed, NoDynos, Maintenance, Blank} }

func (s State) code() (code byte, known bool) {
	for i, is := range states() {
		if is == s {
			return byte(i), true
		}
	}
	return 0, false
}

// App is what the router knows of an app.
type App struct {
	// Version rises with each change of the app. The table gives it.
	Version int64 `json:"-"`

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

// Host is the host name in a Host header: lower case, without port and
// trailing dot. It is false unless what is left is letters, digits, '-', '_'
// and '.', so that a host that was found is safe to print anywhere.
func Host(header string) (string, bool) {
	if !plain(header) {
		name, port, _ := strings.Cut(header, ":")
		if strings.Trim(port, "0123456789") != "" {
			return "", false
		}
		if header = strings.ToLower(name); !plain(header) {
			return "", false
		}
	}
	host := strings.TrimSuffix(header, ".")
	return host, host != "" && len(host) <= 253
}

// plain is whether a host has only what it may have, and no capitals. Nearly
// all come so, and each request asks.
func plain(host string) bool {
	var strange byte
	for i := range len(host) {
		strange |= hostBytes[host[i]]
	}
	return strange == ' '
}

// hostBytes has a space for each byte that may be in a host.
const hostBytes = "" +
	"################################" +
	"#############  #          ######" + // -. 0-9
	"############################### " + // _
	"#                          #####" + // a-z
	"################################" +
	"################################" +
	"################################" +
	"################################"
