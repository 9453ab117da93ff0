// Package redis provisions Redis servers: one per add-on, listening on this
// machine for TLS alone, with the memory, the eviction policy and the
// connection limit of its plan.
//
// The server is a redis-server, which is a process of an unprivileged user or
// runs in a container. On the embedded engine it is a miniredis inside niwa,
// for machines that have neither: its data are lost when niwa stops, its
// memory is not limited, and its settings are fixed. On the external one it is
// a part of a server elsewhere: see type tenant.
package redis

import (
	"context"
	"errors"
	"sync"

	"golang.org/x/sync/errgroup"

	"niwa/addons"
	"niwa/addons/engine"
	"niwa/platform"
)

// Provider is an addons.Provider of Redis servers.
type Provider struct {
	*engine.Home

	mu      sync.Mutex
	running map[string]server // by add-on
	closed  bool

	meeting   sync.Mutex
	elsewhere *shared // nil until it is needed
}

// server is the running server of one add-on.
type server interface {
	engine() engine.Mode
	// apply makes limits, settings and credentials what the record says.
	apply(ctx context.Context, r record) error
	// disconnect ends the connections of a credential, or of more than that.
	disconnect(ctx context.Context, credential string) error
	// info has the rows of redis:info that are the engine's own matter.
	info(ctx context.Context, r record) (version string, rows []addons.Row, err error)
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
	_ addons.Backuper            = (*Provider)(nil)
	_ addons.Restorer            = (*Provider)(nil)
)

// New opens the provider of a directory, and starts the servers that were
// provisioned in it. One that does not start is logged, and tried again each
// time it is needed: it must not keep the others, or the platform, down.
func New(ctx context.Context, c engine.Config) (*Provider, error) {
	home, err := engine.Open(c)
	if err != nil {
		return nil, err
	}
	p := &Provider{Home: home, running: map[string]server{}}
	ids, err := p.IDs()
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

// Close stops every server; what is kept of its data is on disk when it
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
	p.meeting.Lock()
	defer p.meeting.Unlock()
	if p.elsewhere != nil {
		errs = append(errs, p.elsewhere.close())
	}
	return errors.Join(errs...)
}

// open locks an add-on that exists, reads its record and has its server run.
func (p *Provider) open(ctx context.Context, id string) (record, server, func(), error) {
	unlock, err := p.Locks.Lock(ctx, id)
	if err != nil {
		return record{}, nil, nil, err
	}
	r, err := p.load(id)
	var s server
	if err == nil {
		s, err = p.ensure(ctx, &r)
	}
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
	if r.Elsewhere {
		return p.moveIn(ctx, r)
	}
	on, err := p.choose(ctx, *r)
	if err != nil {
		return nil, err
	}
	r.Engine = on.engine
	for range 5 {
		if err := p.save(*r); err != nil {
			return nil, err
		}
		var s server
		if on.engine == engine.Embedded {
			s, err = p.startEmbedded(*r)
		} else {
			s, err = p.startDaemon(ctx, *r, on)
		}
		if err == nil || r.Provisioned || p.CheckPort(r.Port) == nil {
			return s, err
		}
		if r.Port, err = p.FreePort(); err != nil {
			return nil, err
		}
	}
	return nil, err
}

// host is what a redis-server runs on.
type host struct {
	engine   engine.Mode
	launcher engine.Launcher
	program  string
}

// choose decides on an engine. Data that a redis-server has saved are not
// left behind for an embedded one, which cannot read them.
func (p *Provider) choose(ctx context.Context, r record) (on host, err error) {
	saved := r.Provisioned && r.Engine != engine.Embedded
	err = platform.Errorf(platform.Unavailable, "redis-server cannot run here: start niwa with --engines auto.")
	for _, mode := range p.Here(r.Engine) {
		on = host{engine: mode}
		switch mode {
		case engine.Native:
			if found, ok := engine.FindRedis(); ok {
				on.launcher, on.program = p.Processes(), found.Path
				return on, nil
			}
			err = platform.Errorf(platform.Unavailable, "redis-server is not installed: %s.", engine.FixRedis)
		case engine.Docker:
			var imageErr error
			if on.launcher, imageErr = p.Containers(ctx); imageErr == nil {
				on.program = "redis-server"
				return on, nil
			}
			if p.Mode == engine.Docker || r.Engine == engine.Docker {
				err = imageErr
			}
		case engine.Embedded:
			if !saved {
				return on, nil
			}
			if p.Mode == engine.Embedded {
				err = platform.Errorf(platform.Unavailable, "The data of this Key-Value Store were saved by redis-server; start niwa with --engines auto.")
			}
		}
	}
	return host{}, err
}
