package postgres

import (
	"context"
	"errors"
	"net/url"
	"time"

	"github.com/jackc/pgx/v5"

	"niwa/addons/engine"
)

// cluster is a server that answers.
type cluster struct {
	engine     engine.Mode
	version    string // 15.20
	major      int
	superuser  bool            // is niwa's role one; otherwise it makes itself a member of each role
	statements bool            // pg_stat_statements is loaded
	encoding   string          // how a database is made UTF-8 where it would not be
	login      *pgx.ConnConfig // niwa's
	address    url.URL         // an app's, without its login and its database
	server     *engine.Server  // nil elsewhere
}

// patience is how long a server elsewhere may be away before a call fails. One
// that niwa runs itself is waited for.
const patience = 10 * time.Second

// admin calls f with niwa's connection to a database that is no add-on's.
func (c *cluster) admin(ctx context.Context, f func(*pgx.Conn) error) error {
	return c.in(ctx, c.login.Database, f)
}

// in calls f with niwa's connection to a database.
func (c *cluster) in(ctx context.Context, database string, f func(*pgx.Conn) error) error {
	conn, err := c.connect(ctx, database)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return f(conn)
}

// connect opens a connection of niwa's. A server that is coming back from a
// crash is waited for.
func (c *cluster) connect(ctx context.Context, database string) (*pgx.Conn, error) {
	if c.server == nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, patience)
		defer cancel()
	}
	for {
		conn, err := c.dial(ctx, database)
		if err == nil || !isTransient(err) {
			return conn, err
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), err)
		}
		if c.server != nil {
			if err := c.server.Await(ctx); err != nil {
				return nil, err
			}
		}
	}
}

func (c *cluster) dial(ctx context.Context, database string) (*pgx.Conn, error) {
	config := c.login.Copy()
	config.Database = database
	return pgx.ConnectConfig(ctx, config)
}

func (c *cluster) ready(ctx context.Context) error {
	conn, err := c.dial(ctx, c.login.Database)
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

// look asks the server what it is, and what niwa's role may do there.
func (c *cluster) look(ctx context.Context) (role role, err error) {
	var encoding string
	err = c.admin(ctx, func(conn *pgx.Conn) error {
		return conn.QueryRow(ctx, `select split_part(current_setting('server_version'), ' ', 1),
			current_setting('server_version_num')::int / 10000, pg_encoding_to_char(d.encoding),
			rolname, rolsuper, rolcreatedb, rolcreaterole, rolinherit
			from pg_roles, pg_database d where rolname = current_user and datname = 'template1'`).
			Scan(&c.version, &c.major, &encoding, &role.name, &c.superuser, &role.makesDatabases, &role.makesRoles, &role.inherits)
	})
	if encoding != "UTF8" {
		c.encoding = "template template0 encoding 'UTF8'"
	}
	return role, err
}

// role is niwa's own.
type role struct {
	name                                 string
	makesDatabases, makesRoles, inherits bool
}
