package postgres

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"niwa/addons"
	"niwa/addons/engine"
	"niwa/platform"
)

// Provision makes a database and the role that owns it.
func (p *Provider) Provision(ctx context.Context, req addons.Request) (addons.Resource, error) {
	unlock, err := p.Locks.Lock(ctx, req.ID)
	if err != nil {
		return addons.Resource{}, err
	}
	defer unlock()
	r, err := p.load(req.ID)
	if engine.IsMissing(err) {
		r, err = newRecord(req.ID, p.Elsewhere()), nil
	}
	if err != nil {
		return addons.Resource{}, err
	}
	c, err := p.cluster(ctx, r.Elsewhere)
	if err != nil {
		return addons.Resource{}, err
	}
	if err := c.checkOptions(req.Options); err != nil {
		return addons.Resource{}, err
	}
	r.Plan = req.Plan
	if err := p.settle(&r, func() error { return c.apply(ctx, r) }); err != nil {
		return addons.Resource{}, err
	}
	return addons.Resource{
		Config: c.config(r, addons.Default),
		Engine: string(c.engine),
		Message: fmt.Sprintf("Database %s runs on PostgreSQL %s (%s engine).\nUse `heroku pg:psql` to open it.",
			r.database(), c.version, c.engine),
	}, nil
}

// checkOptions refuses what would be ignored: a fork that is empty, a version
// that is another.
func (c *cluster) checkOptions(options map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(options)) {
		value := options[name]
		switch {
		case name == "version" && value == strconv.Itoa(c.major):
		case name == "version":
			return platform.Invalid("PostgreSQL %s is not available here; this installation is version %d.", value, c.major)
		default:
			return platform.Invalid("The option --%s is not available for Postgres here.", name)
		}
	}
	return nil
}

// ChangePlan applies the limits of another plan to a database as it is.
func (p *Provider) ChangePlan(ctx context.Context, id string, plan addons.Plan) error {
	_, _, err := p.change(ctx, id, func(r *record) (bool, error) {
		changed := r.Plan != plan
		r.Plan = plan
		return changed, nil
	}, func(c *cluster, r record) error { return c.apply(ctx, r) })
	return err
}

// Deprovision drops the database and its roles, whoever is connected.
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
	if !r.Elsewhere && !p.made() { // a first provisioning did not get far
		return p.Forget(id)
	}
	c, err := p.cluster(ctx, r.Elsewhere)
	if err != nil {
		return err
	}
	err = c.admin(ctx, func(conn *pgx.Conn) error {
		if err := c.dropDatabase(ctx, conn, r); err != nil {
			return err
		}
		for _, role := range r.roles() {
			if err := c.dropRole(ctx, conn, role); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return p.Forget(id)
}

// apply makes the server have what the record says. It may be repeated.
func (c *cluster) apply(ctx context.Context, r record) error {
	err := c.admin(ctx, func(conn *pgx.Conn) error {
		for name := range r.Credentials {
			if err := c.applyRole(ctx, conn, r, name); err != nil {
				return err
			}
		}
		if err := c.createDatabase(ctx, conn, r); err != nil {
			return err
		}
		return do(ctx, conn, "alter database %s connection limit %d", ident(r.database()), c.limit(r.Plan))
	})
	if err != nil {
		return err
	}
	return c.applyGrants(ctx, r)
}

// createDatabase makes the database, unless it is there, and opens it once
// nobody but its own roles may enter.
func (c *cluster) createDatabase(ctx context.Context, conn *pgx.Conn, r record) error {
	name := ident(r.database())
	var open bool
	err := conn.QueryRow(ctx, "select datallowconn from pg_database where datname = $1", r.database()).Scan(&open)
	if errors.Is(err, pgx.ErrNoRows) {
		err = do(ctx, conn, "create database %s owner %s allow_connections false %s", name, ident(r.owner()), c.encoding)
	}
	if err != nil || open {
		return err
	}
	if err := do(ctx, conn, "revoke all on database %s from public", name); err != nil {
		return err
	}
	return do(ctx, conn, "alter database %s allow_connections true", name)
}

func (c *cluster) dropDatabase(ctx context.Context, conn *pgx.Conn, r record) error {
	return do(ctx, conn, "drop database if exists %s with (force)", ident(r.database()))
}

// limit is how many connections a database takes. A superuser's are not
// counted; other administrators need one.
func (c *cluster) limit(plan addons.Plan) int {
	if plan.Connections > 0 && !c.superuser {
		return plan.Connections + 1
	}
	return limit(plan)
}

// limit is a plan's connection limit in SQL, where -1 means none.
func limit(plan addons.Plan) int {
	if plan.Connections == 0 {
		return -1
	}
	return plan.Connections
}

// do executes a statement that takes no parameters. Its arguments are
// numbers, identifiers from ident and strings from quote.
func do(ctx context.Context, conn *pgx.Conn, format string, args ...any) error {
	_, err := conn.Exec(ctx, fmt.Sprintf(format, args...))
	return err
}

func ident(name string) string { return pgx.Identifier{name}.Sanitize() }

// quote writes a string as postgresql.conf and SQL take it.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
