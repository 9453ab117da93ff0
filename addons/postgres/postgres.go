// Package postgres provisions PostgreSQL databases, with a database and a role
// for each add-on. A role owns its database and has the connection limit of
// its plan.
//
// The server is a cluster of niwa's own, which nobody else administers: it
// listens on this machine alone and accepts nothing but TLS and SCRAM, so that
// clients meet what Heroku has, and a role can enter no database but its own.
// It is made when the first database is; while there is none, nothing runs and
// nothing is downloaded. Or it is a server elsewhere, that of an
// administrator's URL; databases that were made here before stay here.
package postgres

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sync/singleflight"

	"niwa/addons"
	"niwa/addons/engine"
	"niwa/platform"
)

// Provider is an addons.Provider of PostgreSQL databases.
type Provider struct {
	*engine.Home
	fetch singleflight.Group

	starting  engine.Locks // of one key: who starts a cluster or closes the provider
	here      *cluster     // nil until it is needed
	elsewhere *cluster     // the same
	closed    bool
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
	_ addons.Backuper            = (*Provider)(nil)
	_ addons.Restorer            = (*Provider)(nil)
)

// New opens the provider of a directory, starts the cluster that the directory
// may hold, and finishes what an earlier niwa began. A server that does not
// answer is logged, and tried again each time it is needed: it must not keep
// the platform down.
func New(ctx context.Context, c engine.Config) (*Provider, error) {
	home, err := engine.Open(c)
	if err != nil {
		return nil, err
	}
	p := &Provider{Home: home}
	if err := p.clean(ctx); err != nil {
		p.Log.Error("what an earlier niwa left could not be removed", "error", err)
	}
	if p.made() {
		if _, err := p.cluster(ctx, false); err != nil {
			p.Log.Error("the Postgres databases are not available", "error", err)
		}
	}
	ids, err := p.IDs()
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		if err := p.resume(ctx, id); err != nil {
			p.Log.Error("a Postgres database is not available", "addon", id, "error", err)
		}
	}
	return p, nil
}

// clean removes what was half made when an earlier niwa was killed.
func (p *Provider) clean(ctx context.Context) error {
	err := p.Sweep(ctx, "postgres-") // initdb, but not the server
	for _, pattern := range []string{"embedded/.download-*", "initdb", "dump-*"} {
		half, globErr := filepath.Glob(filepath.Join(p.Dir, pattern))
		err = errors.Join(err, globErr)
		for _, dir := range half {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}
	return err
}

// resume finishes a change that was begun.
func (p *Provider) resume(ctx context.Context, id string) error {
	r, err := p.load(id)
	if err != nil || r.Settled {
		return err
	}
	_, _, unlock, err := p.open(ctx, id)
	if err == nil {
		unlock()
	}
	return err
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
	if p.here == nil {
		return nil
	}
	err = p.here.server.Stop(ctx)
	p.here = nil
	return err
}

// cluster returns the server here, running, or the one elsewhere; the first
// caller starts it, or looks whether it will do.
func (p *Provider) cluster(ctx context.Context, elsewhere bool) (*cluster, error) {
	unlock, err := p.starting.Lock(ctx, "")
	if err != nil {
		return nil, err
	}
	defer unlock()
	switch {
	case p.closed:
		return nil, platform.Errorf(platform.Unavailable, "Postgres is shutting down.")
	case elsewhere:
		if p.elsewhere == nil {
			p.elsewhere, err = p.meet(ctx)
		}
		return p.elsewhere, err
	case p.here != nil:
		return p.here, p.here.server.Await(ctx)
	}
	p.here, err = p.start(ctx)
	return p.here, err
}

// made says whether there is a cluster here.
func (p *Provider) made() bool {
	_, err := os.Stat(p.dataDir())
	return !errors.Is(err, fs.ErrNotExist)
}

func (p *Provider) dataDir() string { return filepath.Join(p.Dir, "cluster") }
func (p *Provider) tlsDir() string  { return filepath.Join(p.Dir, "tls") }
func (p *Provider) workDir() string { return filepath.Join(p.Dir, "initdb") }
