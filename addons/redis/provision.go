package redis

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"

	"niwa/addons"
	"niwa/addons/engine"
	"niwa/platform"
)

// Provision starts a server.
func (p *Provider) Provision(ctx context.Context, req addons.Request) (addons.Resource, error) {
	unlock, err := p.Locks.Lock(ctx, req.ID)
	if err != nil {
		return addons.Resource{}, err
	}
	defer unlock()
	r, err := p.load(req.ID)
	if engine.IsMissing(err) {
		r, err = p.newRecord(req.ID)
	}
	if err != nil {
		return addons.Resource{}, err
	}
	r.Plan = req.Plan
	if err := p.setOptions(ctx, &r, req.Options); err != nil {
		return addons.Resource{}, err
	}
	if err := p.save(r); err != nil {
		return addons.Resource{}, err
	}
	s, err := p.ensure(ctx, &r)
	if err != nil {
		return addons.Resource{}, err
	}
	if err := s.apply(ctx, r); err != nil {
		return addons.Resource{}, err
	}
	r.Provisioned = true
	if err := p.save(r); err != nil {
		return addons.Resource{}, err
	}
	config, err := p.config(r, addons.Default)
	return addons.Resource{Config: config, Engine: string(s.engine()), Message: message(s.engine(), r)}, err
}

// setOptions takes settings that came with the order, and refuses what would
// be ignored.
func (p *Provider) setOptions(ctx context.Context, r *record, options map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(options)) {
		if name != "maxmemory_policy" && name != "timeout" {
			return platform.Invalid("The option --%s is not available for the Key-Value Store here.", name)
		}
		mode := engine.External
		if !r.Elsewhere {
			on, err := p.choose(ctx, *r)
			if err != nil {
				return err
			}
			mode = on.engine
		}
		if err := fixedSettings(mode); err != nil {
			return err
		}
		if err := r.set(name, options[name]); err != nil {
			return err
		}
	}
	return nil
}

func message(e engine.Mode, r record) string {
	switch e {
	case engine.Embedded:
		return "This Key-Value Store is embedded in niwa: its data are lost when niwa stops, and its memory is not limited.\n" +
			"Install redis-server for the real one: " + engine.FixRedis + "."
	case engine.External:
		return fmt.Sprintf("This Key-Value Store is database %d of a server that others use too: neither its memory nor its connections are limited, "+
			"and channels for publishing have to begin with %s.\nUse `heroku redis:cli` to open it.", r.Database, r.channels())
	}
	return "This Key-Value Store is a redis-server of its own.\nUse `heroku redis:cli` to open it."
}

// ChangePlan applies the limits of another plan to a server as it runs.
func (p *Provider) ChangePlan(ctx context.Context, id string, plan addons.Plan) error {
	_, err := p.change(ctx, id, func(r *record) error {
		r.Plan = plan
		return nil
	})
	return err
}

// change edits an add-on's record and has its server follow.
func (p *Provider) change(ctx context.Context, id string, edit func(*record) error) (record, error) {
	r, s, unlock, err := p.open(ctx, id)
	if err != nil {
		return r, err
	}
	defer unlock()
	if err := edit(&r); err != nil {
		return r, err
	}
	if err := p.save(r); err != nil {
		return r, err
	}
	return r, s.apply(ctx, r)
}

// Deprovision stops the server and removes its data.
func (p *Provider) Deprovision(ctx context.Context, id string) error {
	unlock, err := p.Locks.Lock(ctx, id)
	if err != nil {
		return err
	}
	defer unlock()
	r, err := p.load(id)
	if engine.IsMissing(err) {
		return nil
	}
	if err != nil {
		return err
	}
	p.mu.Lock()
	s, closed := p.running[id], p.closed
	delete(p.running, id)
	p.mu.Unlock()
	if closed {
		return errClosed()
	}
	if s != nil {
		if err := s.stop(context.WithoutCancel(ctx)); err != nil { // it cannot be stopped halfway
			return fmt.Errorf("stop the server: %w", err)
		}
	}
	if r.Elsewhere {
		err = p.moveOut(ctx, r)
	} else if err = p.Sweep(ctx, taskOf(id)); err == nil {
		err = os.RemoveAll(p.serverDir(id))
	}
	if err != nil {
		return err
	}
	return p.Forget(id)
}
