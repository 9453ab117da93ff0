package redis

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"

	"niwa/addons"
	"niwa/addons/engine"
	"niwa/platform"
)

// Provision starts a server.
func (p *Provider) Provision(ctx context.Context, req addons.Request) (addons.Resource, error) {
	unlock, err := p.locks.Lock(ctx, req.ID)
	if err != nil {
		return addons.Resource{}, err
	}
	defer unlock()
	r, err := p.load(req.ID)
	if isMissing(err) {
		r, err = newRecord(req)
	}
	if err != nil {
		return addons.Resource{}, err
	}
	r.Plan = req.Plan
	if err := p.setOptions(&r, req.Options); err != nil {
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
	return addons.Resource{Config: r.config(addons.Default), Engine: string(s.engine()), Message: message(s.engine())}, nil
}

// setOptions takes settings that came with the order, and refuses what would
// be ignored.
func (p *Provider) setOptions(r *record, options map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(options)) {
		if name != "maxmemory_policy" && name != "timeout" {
			return platform.Invalid("The option --%s is not available for the Key-Value Store here.", name)
		}
		mode, _, err := p.choose(*r)
		if err != nil {
			return err
		}
		if mode == engine.Embedded {
			return errNoSettings()
		}
		if err := r.set(name, options[name]); err != nil {
			return err
		}
	}
	return nil
}

func message(e engine.Mode) string {
	if e == engine.Embedded {
		return "This Key-Value Store is embedded in niwa: its data are lost when niwa stops, and its memory is not limited.\n" +
			"Install redis-server for the real one: " + engine.FixRedis + "."
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
	if err := engine.CheckID(id); err != nil {
		return err
	}
	unlock, err := p.locks.Lock(ctx, id)
	if err != nil {
		return err
	}
	defer unlock()
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
	if err := os.RemoveAll(p.serverDir(id)); err != nil {
		return err
	}
	if err := os.Remove(p.recordFile(id)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
