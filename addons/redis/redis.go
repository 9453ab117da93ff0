// Package redis provisions Redis servers: one per add-on, listening on
// 127.0.0.1 for TLS alone, with the memory, the eviction policy and the
// connection limit of its plan.
//
// On the native engine the server is a redis-server process of an
// unprivileged user. On the embedded one it is a miniredis inside niwa, for
// machines that have no redis-server: its data are lost when niwa stops, its
// memory is not limited, and its settings are fixed.
package redis

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sync/errgroup"

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

// Provider is an addons.Provider of Redis servers.
type Provider struct {
	Config
	user  engine.User
	roots *x509.CertPool
	locks engine.Locks // by add-on

	mu      sync.Mutex
	running map[string]server // by add-on
	closed  bool
}

// server is the running server of one add-on.
type server interface {
	engine() engine.Mode
	// apply makes limits, settings and credentials what the record says.
	apply(ctx context.Context, r record) error
	// disconnect ends the connections of a user, or of more than that.
	disconnect(ctx context.Context, user string) error
	stats(ctx context.Context) (stats, error)
	resetStats(ctx context.Context) error
	stop(ctx context.Context) error
}

// Interface guards.
var (
	_ addons.Provider            = (*Provider)(nil)
	_ addons.Informer            = (*Provider)(nil)
	_ addons.Rotator             = (*Provider)(nil)
	_ addons.CredentialCreator   = (*Provider)(nil)
	_ addons.CredentialDestroyer = (*Provider)(nil)
	_ addons.CredentialLister    = (*Provider)(nil)
	_ addons.Configurer          = (*Provider)(nil)
	_ addons.StatsResetter       = (*Provider)(nil)
)

// New opens the provider of a directory, and starts the servers that were
// provisioned in it. One that does not start is logged, and tried again each
// time it is needed: it must not keep the others, or the platform, down.
func New(ctx context.Context, c Config) (*Provider, error) {
	dir, err := filepath.Abs(c.Dir)
	if err != nil {
		return nil, err
	}
	c.Dir = dir
	p := &Provider{Config: c, roots: x509.NewCertPool(), running: map[string]server{}}
	if p.user, err = engine.ServerUser(); err != nil {
		return nil, err
	}
	ca, err := os.ReadFile(c.CA.CertFile())
	if err != nil {
		return nil, err
	}
	if !p.roots.AppendCertsFromPEM(ca) {
		return nil, fmt.Errorf("%s holds no certificate", c.CA.CertFile())
	}
	if err := os.MkdirAll(p.Dir, 0o711); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(p.recordsDir(), 0o700); err != nil {
		return nil, err
	}
	if err := os.Chmod(p.Dir, 0o711); err != nil { // the servers' user passes through
		return nil, err
	}
	ids, err := p.ids()
	if err != nil {
		return nil, err
	}
	p.startAll(ctx, ids)
	return p, nil
}

func (p *Provider) startAll(ctx context.Context, ids []string) {
	var group errgroup.Group
	group.SetLimit(8)
	for _, id := range ids {
		group.Go(func() error {
			_, _, unlock, err := p.open(ctx, id)
			if err != nil {
				p.Log.Error("a Redis server is not available", "addon", id, "error", err)
				return nil
			}
			unlock()
			return nil
		})
	}
	_ = group.Wait() // its functions return no error
}

// Close stops every server; the data of native ones are on disk when it
// returns. The provider cannot be used any more.
func (p *Provider) Close(ctx context.Context) error {
	p.mu.Lock()
	running := p.running
	p.running, p.closed = nil, true
	p.mu.Unlock()
	var mu sync.Mutex
	var errs []error
	var wg sync.WaitGroup
	for _, s := range running {
		wg.Go(func() {
			err := s.stop(ctx)
			mu.Lock()
			defer mu.Unlock()
			errs = append(errs, err)
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// open locks an add-on that exists, reads its record and has its server run.
func (p *Provider) open(ctx context.Context, id string) (record, server, func(), error) {
	unlock, err := p.locks.Lock(ctx, id)
	if err != nil {
		return record{}, nil, nil, err
	}
	r, err := p.load(id)
	if err != nil {
		unlock()
		return record{}, nil, nil, err
	}
	s, err := p.ensure(ctx, &r)
	if err != nil {
		unlock()
		return record{}, nil, nil, err
	}
	return r, s, unlock, nil
}

// ensure returns the add-on's server, starting it if it does not run. The
// caller holds the add-on's lock.
func (p *Provider) ensure(ctx context.Context, r *record) (server, error) {
	p.mu.Lock()
	s, closed := p.running[r.ID], p.closed
	p.mu.Unlock()
	if closed {
		return nil, errClosed()
	}
	if s != nil {
		return s, nil
	}
	s, err := p.start(ctx, r)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed { // Close did not see this one
		return nil, errors.Join(errClosed(), s.stop(context.WithoutCancel(ctx)))
	}
	p.running[r.ID] = s
	return s, nil
}

func errClosed() error {
	return platform.Errorf(platform.Unavailable, "The Key-Value Store is shutting down.")
}

// start starts a server on the best engine there is, on the port that its
// config vars name; before anybody was told the port, another will do.
func (p *Provider) start(ctx context.Context, r *record) (server, error) {
	mode, binary, err := p.choose(*r)
	if err != nil {
		return nil, err
	}
	for range 5 {
		var s server
		if mode == engine.Native {
			s, err = p.startNative(ctx, *r, binary)
		} else {
			s, err = p.startEmbedded(*r)
		}
		if err == nil || r.Provisioned || engine.CheckPort(r.Port) == nil {
			r.Engine = mode
			return s, err
		}
		if r.Port, err = engine.FreePort(); err != nil {
			return nil, err
		}
		if err := p.save(*r); err != nil {
			return nil, err
		}
	}
	return nil, err
}

// choose decides on an engine. Data that a redis-server has saved are not
// left behind for an embedded one, which cannot read them.
func (p *Provider) choose(r record) (engine.Mode, engine.Redis, error) {
	binary, found := engine.FindRedis()
	switch {
	case found && p.Mode.Allows(engine.Native):
		return engine.Native, binary, nil
	case p.Mode.Allows(engine.Embedded) && r.Engine != engine.Native:
		return engine.Embedded, engine.Redis{}, nil
	case found:
		return "", engine.Redis{}, platform.Errorf(platform.Unavailable,
			"The data of this Key-Value Store were saved by redis-server; start niwa with --engines auto.")
	}
	return "", engine.Redis{}, platform.Errorf(platform.Unavailable, "redis-server is not installed: %s.", engine.FixRedis)
}
