package redis

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"

	"niwa/addons"
	"niwa/addons/engine"
)

// tenant is an add-on on a Redis server elsewhere: a numbered database, and an
// ACL user for each credential that can select no other.
//
// Redis can also confine a user to keys with a prefix. Apps that were written
// for a server of their own have no prefix, and would not run; so the database
// is the wall, and the ACL takes away what reaches through it: commands that
// name another database or see what passes through all of them. What is the
// server's alone is shared: its memory, its connections, its settings, scripts
// that take long, and database 0, where a client is before it selects. Names
// of channels know no databases, so they must have a prefix.
type tenant struct {
	*shared
	id string

	applying sync.Mutex
	last     record // that was applied
}

// moveIn makes a tenant, with a database of its own.
func (p *Provider) moveIn(ctx context.Context, r *record) (server, error) {
	s, err := p.meet(ctx)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t := &tenant{shared: s, id: r.ID}
	if r.Database == 0 {
		if r.Database, err = s.free(ctx); err != nil {
			return nil, err
		}
		if err := p.save(*r); err != nil {
			return nil, err
		}
	}
	if err := t.apply(ctx, *r); err != nil { // which says to others that the database is taken
		return nil, err
	}
	s.tenants[r.ID] = t
	return t, nil
}

// moveOut removes what an add-on has on the server.
func (p *Provider) moveOut(ctx context.Context, r record) error {
	s, err := p.meet(ctx)
	if err != nil {
		return err
	}
	for _, name := range []string{addons.Default, readOnly} {
		if err := kick(ctx, s.client, r.user(name)); err != nil {
			return err
		}
		if err := s.client.Do(ctx, "acl", "deluser", r.user(name)).Err(); err != nil {
			return err
		}
	}
	return s.clear(ctx, r.Database)
}

// user is the name of a credential's user on the server.
func (r record) user(credential string) string { return engine.Name("niwa_", "user", r.ID, credential) }

// channels is how the names of an add-on's channels begin.
func (r record) channels() string { return r.user(addons.Default) + ":" }

// usersElsewhere are the logins of an add-on, confined to its database.
func usersElsewhere(r record) []user {
	confined := fmt.Sprintf(" -select +select|%d -client|tracking +acl|whoami", r.Database)
	channels := fmt.Sprintf(" resetchannels &%s* &__keyspace@%d__:* &__keyevent@%[2]d__:*", r.channels(), r.Database)
	all := []user{{r.user(addons.Default), login(r.Credentials[addons.Default]) + " sanitize-payload ~*" + channels +
		" +@all -@admin -migrate -swapdb -move -copy -flushall -pubsub -function -fcall -fcall_ro" +
		" -script +script|load +script|exists" + confined}}
	if secret := r.Credentials[readOnly]; secret != "" {
		all = append(all, user{r.user(readOnly), login(secret) + " ~*" + channels + " " + mayRead + confined})
	}
	return all
}

func (t *tenant) engine() engine.Mode { return engine.External }

func (t *tenant) apply(ctx context.Context, r record) error {
	t.applying.Lock()
	defer t.applying.Unlock()
	t.last = r
	return t.set(ctx)
}

// restore makes the users again if one of them is not there.
func (t *tenant) restore(ctx context.Context, there []string) error {
	t.applying.Lock()
	defer t.applying.Unlock()
	for _, user := range usersElsewhere(t.last) {
		if !slices.Contains(there, user.name) {
			return t.set(ctx)
		}
	}
	return nil
}

func (t *tenant) set(ctx context.Context) error {
	for _, user := range usersElsewhere(t.last) {
		if err := user.set(ctx, t.client); err != nil {
			return err
		}
	}
	if t.last.Credentials[readOnly] == "" {
		return t.client.Do(ctx, "acl", "deluser", t.last.user(readOnly)).Err()
	}
	return nil
}

func (t *tenant) disconnect(ctx context.Context, credential string) error {
	return kick(ctx, t.client, record{ID: t.id}.user(credential))
}

func (t *tenant) info(ctx context.Context, r record) (version string, rows []addons.Row, err error) {
	now, err := readInfo(ctx, t.client)
	if err != nil {
		return "", nil, err
	}
	list, err := t.client.ClientList(ctx).Result()
	if err != nil {
		return "", nil, err
	}
	connections := 0
	for line := range strings.Lines(list) {
		for _, name := range []string{addons.Default, readOnly} {
			if slices.Contains(strings.Fields(line), "user="+r.user(name)) {
				connections++
			}
		}
	}
	version = now["redis_version"]
	return version, []addons.Row{
		engine.Row("Maxmemory", "the server's, which others use too"),
		engine.Row("Connections", engine.Of(connections, r.Plan.Connections)+" (the limit is not enforced)"),
		engine.Row("Database", fmt.Sprint(r.Database)),
		engine.Row("Channels", "names that begin with "+r.channels()),
		engine.Row("Persistence", "the server's"),
		engine.Row("Engine", "external, Redis "+version),
	}, nil
}

func (t *tenant) resetStats(context.Context) error { return nil } // the counters are those of all

func (t *tenant) stop(context.Context) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.tenants, t.id)
	return nil
}

// configElsewhere is what apps get of a server elsewhere.
func (p *Provider) configElsewhere(r record, credential string) (map[string]string, error) {
	at, err := p.urlElsewhere()
	if err != nil {
		return nil, err
	}
	u := url.URL{
		Scheme: at.Scheme, Host: at.Host, User: url.UserPassword(r.user(credential), r.Credentials[credential]),
		Path: fmt.Sprintf("/%d", r.Database),
	}
	return map[string]string{"URL": u.String()}, nil
}
