package postgres

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"niwa/addons"
	"niwa/addons/engine"
	"niwa/platform"
)

// record is what is kept of an add-on beside its database. It is written
// before the server is told, so that whatever the server has can be removed
// again.
type record struct {
	ID          string                `json:"id"`
	Plan        addons.Plan           `json:"plan"`
	CreatedAt   time.Time             `json:"created_at"`
	Credentials map[string]credential `json:"credentials"`
}

// credential is a role and how to log in as it.
type credential struct {
	Role     string `json:"role"`
	Password string `json:"password"`
}

// database is the name of the add-on's database.
func (r record) database() string { return engine.Name("d", "database", r.ID) }

func (r record) owner() string { return r.Credentials[addons.Default].Role }

func newCredential(id, name string) credential {
	return credential{Role: engine.Name("u", "role", id, name), Password: engine.Password()}
}

// config is what apps get. The scheme is the one that the heroku CLI looks
// for, and the host one with which it makes psql insist on TLS.
func (c *cluster) config(r record, credentialName string) map[string]string {
	login := r.Credentials[credentialName]
	u := url.URL{
		Scheme: "postgres",
		User:   url.UserPassword(login.Role, login.Password),
		Host:   fmt.Sprintf("127.0.0.1:%d", c.port),
		Path:   "/" + r.database(),
	}
	return map[string]string{"URL": u.String()}
}

func (p *Provider) recordFile(id string) string { return filepath.Join(p.recordsDir(), id+".json") }

// load reads the record of an add-on.
func (p *Provider) load(id string) (record, error) {
	var r record
	if err := engine.CheckID(id); err != nil {
		return r, err
	}
	err := engine.Load(p.recordFile(id), &r)
	if errors.Is(err, fs.ErrNotExist) {
		return r, platform.Missing("add_on")
	}
	return r, err
}

func (p *Provider) save(r record) error { return engine.Save(p.recordFile(r.ID), r) }

// hasAddons says whether any database has been asked for.
func (p *Provider) hasAddons() bool {
	entries, err := os.ReadDir(p.recordsDir())
	return err != nil || len(entries) > 0 // when in doubt, somebody knows the port
}

// open locks an add-on that exists, reads its record and starts the cluster.
func (p *Provider) open(ctx context.Context, id string) (record, *cluster, func(), error) {
	unlock, err := p.locks.Lock(ctx, id)
	if err != nil {
		return record{}, nil, nil, err
	}
	r, err := p.load(id)
	if err != nil {
		unlock()
		return record{}, nil, nil, err
	}
	c, err := p.cluster(ctx)
	if err != nil {
		unlock()
		return record{}, nil, nil, err
	}
	return r, c, unlock, nil
}
