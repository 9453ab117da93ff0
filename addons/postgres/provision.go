package postgres

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"niwa/addons"
	"niwa/platform"
)

// Provision makes a database and the role that owns it.
func (p *Provider) Provision(ctx context.Context, req addons.Request) (addons.Resource, error) {
	unlock, err := p.locks.Lock(ctx, req.ID)
	if err != nil {
		return addons.Resource{}, err
	}
	defer unlock()
	c, err := p.cluster(ctx)
	if err != nil {
		return addons.Resource{}, err
	}
	if err := c.checkOptions(req.Options); err != nil {
		return addons.Resource{}, err
	}
	r, err := p.load(req.ID)
	if isMissing(err) {
		r, err = record{
			ID:          req.ID,
			CreatedAt:   time.Now().UTC(),
			Credentials: map[string]credential{addons.Default: newCredential(req.ID, addons.Default)},
		}, nil
	}
	if err != nil {
		return addons.Resource{}, err
	}
	r.Plan = req.Plan
	if err := p.save(r); err != nil {
		return addons.Resource{}, err
	}
	if err := c.apply(ctx, r); err != nil {
		return addons.Resource{}, err
	}
	return addons.Resource{
		Config: c.config(r, addons.Default),
		Engine: string(c.engine),
		Message: fmt.Sprintf("Database %s runs on PostgreSQL %s (%s engine).\nUse `heroku pg:psql` to open it.",
			r.database(), c.Version, c.engine),
	}, nil
}

// checkOptions refuses what would be ignored: a fork that is empty, a version
// that is another.
func (c *cluster) checkOptions(options map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(options)) {
		value := options[name]
		switch {
		case name == "version" && value == strconv.Itoa(c.Major):
		case name == "version":
			return platform.Invalid("PostgreSQL %s is not available here; this installation is version %d.", value, c.Major)
		default:
			return platform.Invalid("The option --%s is not available for Postgres here.", name)
		}
	}
	return nil
}

// ChangePlan applies the limits of another plan to a database as it is.
func (p *Provider) ChangePlan(ctx context.Context, id string, plan addons.Plan) error {
	r, c, unlock, err := p.open(ctx, id)
	if err != nil {
		return err
	}
	defer unlock()
	r.Plan = plan
	if err := p.save(r); err != nil {
		return err
	}
	return c.apply(ctx, r)
}

// Deprovision drops the database and its roles, whoever is connected.
func (p *Provider) Deprovision(ctx context.Context, id string) error {
	r, c, unlock, err := p.open(ctx, id)
	if isMissing(err) {
		return nil
	}
	if err != nil {
		return err
	}
	defer unlock()
	err = c.admin(ctx, func(conn *pgx.Conn) error {
		if err := do(ctx, conn, "drop database if exists %s with (force)", ident(r.database())); err != nil {
			return err
		}
		for _, login := range r.Credentials {
			if err := c.dropRole(ctx, conn, login.Role); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := os.Remove(p.recordFile(id)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// apply makes the server have what the record says. It may be repeated.
func (c *cluster) apply(ctx context.Context, r record) error {
	return c.admin(ctx, func(conn *pgx.Conn) error {
		if err := c.applyRole(ctx, conn, r, addons.Default); err != nil {
			return err
		}
		if err := c.createDatabase(ctx, conn, r); err != nil {
			return err
		}
		for name := range r.Credentials {
			if err := c.applyRole(ctx, conn, r, name); err != nil {
				return err
			}
		}
		return do(ctx, conn, "alter database %s connection limit %d", ident(r.database()), limit(r.Plan))
	})
}

// createDatabase makes the database, unless it is there, and opens it once
// nobody but its own roles may enter.
func (c *cluster) createDatabase(ctx context.Context, conn *pgx.Conn, r record) error {
	name := ident(r.database())
	var open bool
	err := conn.QueryRow(ctx, "select datallowconn from pg_database where datname = $1", r.database()).Scan(&open)
	if errors.Is(err, pgx.ErrNoRows) {
		err = do(ctx, conn, "create database %s owner %s allow_connections false", name, ident(r.owner()))
	}
	if err != nil || open {
		return err
	}
	if err := do(ctx, conn, "revoke all on database %s from public", name); err != nil {
		return err
	}
	return do(ctx, conn, "alter database %s allow_connections true", name)
}

// limit is a plan's connection limit in SQL, where -1 means none.
func limit(plan addons.Plan) int {
	if plan.Connections == 0 {
		return -1
	}
	return plan.Connections
}

// admin calls f with a connection to the cluster's own database.
func (c *cluster) admin(ctx context.Context, f func(*pgx.Conn) error) error {
	return c.in(ctx, "postgres", f)
}

// in calls f with the superuser's connection to a database.
func (c *cluster) in(ctx context.Context, database string, f func(*pgx.Conn) error) error {
	conn, err := c.connect(ctx, database)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return f(conn)
}

// do executes a statement that takes no parameters. Its arguments are
// numbers, identifiers from ident and strings from quote.
func do(ctx context.Context, conn *pgx.Conn, format string, args ...any) error {
	_, err := conn.Exec(ctx, fmt.Sprintf(format, args...))
	return err
}

func ident(name string) string { return pgx.Identifier{name}.Sanitize() }

func isMissing(err error) bool {
	var e *platform.Error
	return errors.As(err, &e) && e.ID == platform.NotFound
}
