package postgres

import (
	"context"
	"net/url"
	"time"

	"niwa/addons"
	"niwa/addons/engine"
)

// record is what is kept of an add-on beside its database. It is written
// before the server is told, so that whatever the server has can be removed
// again, and what it has not been told can be said again.
type record struct {
	ID          string                `json:"id"`
	Elsewhere   bool                  `json:"elsewhere"` // on the external server
	Settled     bool                  `json:"settled"`   // the server has all of this
	Plan        addons.Plan           `json:"plan"`
	CreatedAt   time.Time             `json:"created_at"`
	Credentials map[string]credential `json:"credentials"`
}

// credential is a role and how to log in as it.
type credential struct {
	Role     string `json:"role"`
	Password string `json:"password"`
}

func newRecord(id string, elsewhere bool) record {
	r := record{ID: id, Elsewhere: elsewhere, CreatedAt: time.Now().UTC(), Credentials: map[string]credential{}}
	r.addCredential(addons.Default)
	return r
}

func (r record) addCredential(name string) {
	r.Credentials[name] = credential{Role: engine.Name(r.prefix("u"), "role", r.ID, name), Password: engine.Password()}
}

// database is the name of the add-on's database.
func (r record) database() string { return engine.Name(r.prefix("d"), "database", r.ID) }

// prefix begins a name: as on Heroku, and where others have their databases
// so that they see whose it is.
func (r record) prefix(heroku string) string {
	if r.Elsewhere {
		return "niwa_" + heroku
	}
	return heroku
}

func (r record) owner() string { return r.Credentials[addons.Default].Role }

// roles are those of all credentials.
func (r record) roles() []string {
	var all []string
	for _, c := range r.Credentials {
		all = append(all, c.Role)
	}
	return all
}

// config is what apps get. The scheme is the one that the heroku CLI looks
// for, and the host here one with which it makes psql insist on TLS.
func (c *cluster) config(r record, credentialName string) map[string]string {
	login := r.Credentials[credentialName]
	u := c.address
	u.User, u.Path = url.UserPassword(login.Role, login.Password), "/"+r.database()
	return map[string]string{"URL": u.String()}
}

func (p *Provider) load(id string) (r record, err error) { return r, p.Load(id, &r) }

// open locks an add-on that exists, reads its record and has its server
// answer, and have what the record says.
func (p *Provider) open(ctx context.Context, id string) (record, *cluster, func(), error) {
	unlock, err := p.Locks.Lock(ctx, id)
	if err != nil {
		return record{}, nil, nil, err
	}
	r, err := p.load(id)
	var c *cluster
	if err == nil {
		c, err = p.cluster(ctx, r.Elsewhere)
	}
	if err == nil && !r.Settled {
		err = p.settle(&r, func() error { return c.apply(ctx, r) })
	}
	if err != nil {
		unlock()
		return record{}, nil, nil, err
	}
	return r, c, unlock, nil
}

// change changes an add-on's record, and has act bring its server in line;
// unless edit says that there is nothing to do.
func (p *Provider) change(ctx context.Context, id string, edit func(*record) (bool, error), act func(*cluster, record) error) (record, *cluster, error) {
	r, c, unlock, err := p.open(ctx, id)
	if err != nil {
		return r, nil, err
	}
	defer unlock()
	changed, err := edit(&r)
	if err != nil || !changed {
		return r, c, err
	}
	return r, c, p.settle(&r, func() error { return act(c, r) })
}

// settle has act bring the server in line with the record. Wherever it is cut
// off, the record says that it has to be done.
func (p *Provider) settle(r *record, act func() error) error {
	r.Settled = false
	if err := p.Save(r.ID, r); err != nil {
		return err
	}
	if err := act(); err != nil {
		return err
	}
	r.Settled = true
	return p.Save(r.ID, r)
}
