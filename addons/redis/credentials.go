package redis

import (
	"context"
	"fmt"

	"niwa/addons"
	"niwa/addons/engine"
	"niwa/platform"
)

// Rotate gives a credential a new password and ends the connections that were
// made with the old one.
func (p *Provider) Rotate(ctx context.Context, id, name string) (map[string]string, error) {
	r, s, unlock, err := p.open(ctx, id)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if r.Credentials[name] == "" {
		e := platform.Errorf(platform.NotFound, "There is no credential %q.", name)
		e.Resource = "credential"
		return nil, e
	}
	r.Credentials[name] = engine.Password()
	if err := p.save(r); err != nil {
		return nil, err
	}
	if err := s.apply(ctx, r); err != nil {
		return nil, err
	}
	if err := s.disconnect(ctx, name); err != nil {
		return nil, err
	}
	return p.config(r, name)
}

// CreateCredential makes the credential that may only read.
func (p *Provider) CreateCredential(ctx context.Context, id, name string) (map[string]string, error) {
	if name != readOnly {
		return nil, platform.Invalid("A Key-Value Store has the credentials default and %s; %q cannot be made.", readOnly, name)
	}
	r, err := p.change(ctx, id, func(r *record) error {
		if r.Credentials[name] == "" {
			r.Credentials[name] = engine.Password()
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return p.config(r, name)
}

// DestroyCredential takes it away again, and ends its connections.
func (p *Provider) DestroyCredential(ctx context.Context, id, name string) error {
	if name == addons.Default {
		return platform.Invalid("The default credential cannot be destroyed; destroy the add-on, or rotate the credential.")
	}
	r, s, unlock, err := p.open(ctx, id)
	if err != nil {
		return err
	}
	defer unlock()
	if r.Credentials[name] == "" {
		return nil
	}
	delete(r.Credentials, name)
	if err := p.save(r); err != nil {
		return err
	}
	if err := s.apply(ctx, r); err != nil {
		return fmt.Errorf("remove the credential: %w", err)
	}
	return s.disconnect(ctx, name)
}

// Credentials tells the logins of a server.
func (p *Provider) Credentials(ctx context.Context, id string) (map[string]map[string]string, error) {
	unlock, err := p.Locks.Lock(ctx, id)
	if err != nil {
		return nil, err
	}
	defer unlock()
	r, err := p.load(id)
	if err != nil {
		return nil, err
	}
	all := map[string]map[string]string{}
	for name := range r.Credentials {
		if all[name], err = p.config(r, name); err != nil {
			return nil, err
		}
	}
	return all, nil
}
