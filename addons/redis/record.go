package redis

import (
	"net"
	"net/url"
	"path/filepath"
	"strconv"
	"time"

	"niwa/addons"
	"niwa/addons/engine"
)

// readOnly is the one credential beside the default: it reads every key and
// writes none.
const readOnly = "readonly"

// record is what is kept of an add-on beside its server's own files.
type record struct {
	ID          string            `json:"id"`
	Port        int               `json:"port"` // apps have it in their config vars
	Plan        addons.Plan       `json:"plan"`
	Engine      engine.Mode       `json:"engine"`      // that ran last
	Elsewhere   bool              `json:"elsewhere"`   // on the external server
	Database    int               `json:"database"`    // its number there; 0 before it has one
	Provisioned bool              `json:"provisioned"` // somebody has been told the config
	CreatedAt   time.Time         `json:"created_at"`
	Admin       string            `json:"admin"`       // password of niwa's own user
	Credentials map[string]string `json:"credentials"` // passwords
	Settings    map[string]string `json:"settings"`    // those that were changed
}

func (p *Provider) newRecord(id string) (r record, err error) {
	r = record{
		ID:          id,
		Elsewhere:   p.Elsewhere(),
		CreatedAt:   time.Now().UTC(),
		Admin:       engine.Password(),
		Credentials: map[string]string{addons.Default: engine.Password()},
		Settings:    map[string]string{},
	}
	if !r.Elsewhere {
		r.Port, err = p.FreePort()
	}
	return r, err
}

// addr is where the server listens on a host.
func (r record) addr(host string) string { return net.JoinHostPort(host, strconv.Itoa(r.Port)) }

// config is what apps get. Like Heroku's, the default credential has no user
// name: old clients send none.
func (p *Provider) config(r record, credential string) (map[string]string, error) {
	if r.Elsewhere {
		return p.configElsewhere(r, credential)
	}
	user := credential
	if credential == addons.Default {
		user = ""
	}
	u := url.URL{Scheme: "rediss", User: url.UserPassword(user, r.Credentials[credential]), Host: r.addr(p.Host)}
	return map[string]string{"URL": u.String()}, nil
}

// setting is the value in force of a setting.
func (r record) setting(name string) string {
	if value, ok := r.Settings[name]; ok {
		return value
	}
	return r.defaultOf(name)
}

func (p *Provider) serverDir(id string) string           { return filepath.Join(p.Dir, id) }
func (p *Provider) save(r record) error                  { return p.Save(r.ID, r) }
func (p *Provider) load(id string) (r record, err error) { return r, p.Load(id, &r) }
