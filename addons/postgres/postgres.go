// Package postgres provisions PostgreSQL databases: one cluster, which only
// this package administers, with a database and a role per add-on. A role
// owns its database, may connect to no other, and has the connection limit of
// its plan. The server listens on 127.0.0.1 alone and accepts nothing but TLS
// and SCRAM, so that clients meet what Heroku has.
//
// The cluster is made when the first database is; while there is none,
// nothing runs and nothing is downloaded.
package postgres

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"golang.org/x/sync/singleflight"

	"niwa/addons"
	"niwa/addons/engine"
	"niwa/platform"
	"niwa/platform/pki"
	"niwa/platform/proc"
)

// Config is what a provider works with.
type Config struct {
	Dir   string // everything is kept here; users of other processes must be able to traverse it
	Procs *proc.Table
	CA    *pki.Authority
	Mode  engine.Mode
	Log   *slog.Logger
}

// Provider is an addons.Provider of PostgreSQL databases.
type Provider struct {
	Config
	user  engine.User
	locks engine.Locks // by add-on
	fetch singleflight.Group

	starting engine.Locks // of one key: who starts the cluster or closes the provider
	running  *cluster     // nil until the cluster is needed
	closed   bool
}

// Interface guards.
var (
	_ addons.Provider            = (*Provider)(nil)
	_ addons.Informer            = (*Provider)(nil)
	_ addons.Rotator             = (*Provider)(nil)
	_ addons.CredentialCreator   = (*Provider)(nil)
	_ addons.CredentialDestroyer = (*Provider)(nil)
	_ addons.CredentialLister    = (*Provider)(nil)
	_ addons.Resetter            = (*Provider)(nil)
	_ addons.Disconnector        = (*Provider)(nil)
	_ addons.StatsResetter       = (*Provider)(nil)
)

// New opens the provider of a directory, and starts the cluster that the
// directory may hold. A cluster that does not start is logged, and tried
// again each time it is needed: it must not keep the platform down.
func New(ctx context.Context, c Config) (*Provider, error) {
	dir, err := filepath.Abs(c.Dir)
	if err != nil {
		return nil, err
	}
	c.Dir = dir
	user, err := engine.ServerUser()
	if err != nil {
		return nil, err
	}
	p := &Provider{Config: c, user: user}
	if err := os.MkdirAll(p.Dir, 0o711); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(p.recordsDir(), 0o700); err != nil {
		return nil, err
	}
	if err := os.Chmod(p.Dir, 0o711); err != nil { // the server's user passes through
		return nil, err
	}
	if _, err := os.Stat(p.dataDir()); errors.Is(err, fs.ErrNotExist) {
		return p, nil
	}
	if _, err := p.cluster(ctx); err != nil {
		p.Log.Error("the Postgres databases are not available", "error", err)
	}
	return p, nil
}

// Close stops the cluster: connections are ended, data are on disk when it
// returns. The provider cannot be used any more.
func (p *Provider) Close(ctx context.Context) error {
	unlock, err := p.starting.Lock(ctx, "")
	if err != nil {
		return err
	}
	defer unlock()
	p.closed = true
	if p.running == nil {
		return nil
	}
	err = p.running.server.Stop(ctx)
	p.running = nil
	return err
}

// cluster returns the cluster, running; the first caller starts it.
func (p *Provider) cluster(ctx context.Context) (*cluster, error) {
	unlock, err := p.starting.Lock(ctx, "")
	if err != nil {
		return nil, err
	}
	defer unlock()
	switch {
	case p.closed:
		return nil, platform.Errorf(platform.Unavailable, "Postgres is shutting down.")
	case p.running != nil:
		return p.running, p.running.server.Await(ctx)
	}
	p.running, err = p.start(ctx)
	return p.running, err
}

func (p *Provider) dataDir() string    { return filepath.Join(p.Dir, "cluster") }
func (p *Provider) tlsDir() string     { return filepath.Join(p.Dir, "tls") }
func (p *Provider) recordsDir() string { return filepath.Join(p.Dir, "addons") }
