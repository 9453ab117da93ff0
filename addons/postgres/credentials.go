package postgres

import (
	"context"
	"errors"
	"net"
	"regexp"
	"syscall"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"niwa/addons"
	"niwa/addons/engine"
	"niwa/platform"
)

// readOnly is the name of a credential that may read every table. One with
// any other name may log in, and do what the default credential grants it,
// as on Heroku.
const readOnly = "readonly"

var credentialName = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9_-]{0,49}$`)

// Rotate gives a credential a new password and ends the connections that were
// made with the old one.
func (p *Provider) Rotate(ctx context.Context, id, name string) (map[string]string, error) {
	r, c, err := p.change(ctx, id, func(r *record) (bool, error) {
		login, ok := r.Credentials[name]
		if !ok {
			return false, noCredential(name)
		}
		login.Password = engine.Password()
		r.Credentials[name] = login
		return true, nil
	}, func(c *cluster, r record) error {
		return c.admin(ctx, func(conn *pgx.Conn) error {
			if err := c.applyRole(ctx, conn, r, name); err != nil {
				return err
			}
			return disconnect(ctx, conn, r.Credentials[name].Role)
		})
	})
	if err != nil {
		return nil, err
	}
	return c.config(r, name), nil
}

// CreateCredential makes another role that may enter the database.
func (p *Provider) CreateCredential(ctx context.Context, id, name string) (map[string]string, error) {
	if !credentialName.MatchString(name) {
		return nil, platform.Invalid("A credential's name starts with a letter and has up to 50 letters, digits, dashes and underscores.")
	}
	r, c, err := p.change(ctx, id, func(r *record) (bool, error) {
		_, there := r.Credentials[name]
		if !there {
			r.addCredential(name)
		}
		return !there, nil
	}, func(c *cluster, r record) error {
		err := c.admin(ctx, func(conn *pgx.Conn) error { return c.applyRole(ctx, conn, r, name) })
		if err != nil {
			return err
		}
		return c.applyGrants(ctx, r)
	})
	if err != nil {
		return nil, err
	}
	return c.config(r, name), nil
}

// DestroyCredential drops the role. What it owns goes to the default one.
func (p *Provider) DestroyCredential(ctx context.Context, id, name string) error {
	if name == addons.Default {
		return platform.Invalid("The default credential cannot be destroyed; destroy the add-on, or rotate the credential.")
	}
	_, _, err := p.change(ctx, id, func(r *record) (bool, error) {
		_, there := r.Credentials[name]
		return there, nil
	}, func(c *cluster, r record) error {
		role := r.Credentials[name].Role
		err := c.in(ctx, r.database(), func(conn *pgx.Conn) error {
			if err := disconnect(ctx, conn, role); err != nil {
				return err
			}
			for _, statement := range []string{"reassign owned by %[1]s to %[2]s", "drop owned by %[1]s"} {
				err := do(ctx, conn, statement, ident(role), ident(r.owner()))
				if err != nil && !isCode(err, undefinedObject) { // an earlier call dropped it
					return err
				}
			}
			return c.dropRole(ctx, conn, role)
		})
		if err == nil {
			delete(r.Credentials, name)
		}
		return err
	})
	return err
}

// Credentials tells the logins of a database.
func (p *Provider) Credentials(ctx context.Context, id string) (map[string]map[string]string, error) {
	r, c, unlock, err := p.open(ctx, id)
	if err != nil {
		return nil, err
	}
	defer unlock()
	all := map[string]map[string]string{}
	for name := range r.Credentials {
		all[name] = c.config(r, name)
	}
	return all, nil
}

// applyRole makes the role of a credential what the record says.
func (c *cluster) applyRole(ctx context.Context, conn *pgx.Conn, r record, name string) error {
	login := r.Credentials[name]
	secret, err := verifier(login.Password)
	if err != nil {
		return err
	}
	role := ident(login.Role)
	var there bool
	if err := conn.QueryRow(ctx, "select exists (select from pg_roles where rolname = $1)", login.Role).Scan(&there); err != nil {
		return err
	}
	if !there {
		if err := do(ctx, conn, "create role %s", role); err != nil {
			return err
		}
	}
	err = do(ctx, conn, "alter role %s login connection limit %d password %s", role, limit(r.Plan), quote(secret))
	if err != nil || c.superuser {
		return err
	}
	// Whoever is no superuser rules over what a role has as a member of it.
	if c.major < 16 {
		return do(ctx, conn, "grant %s to current_user", role)
	}
	return do(ctx, conn, "grant %s to current_user with inherit true, set true", role)
}

// applyGrants lets the credentials beside the default one into the database,
// and the one called readonly read what any of them makes there, now and
// later. There is a role for that which reads everything, but everywhere.
func (c *cluster) applyGrants(ctx context.Context, r record) error {
	reader, ok := r.Credentials[readOnly]
	if len(r.Credentials) == 1 {
		return nil
	}
	return c.in(ctx, r.database(), func(conn *pgx.Conn) error {
		for _, role := range r.roles() {
			if role == r.owner() {
				continue
			}
			if err := do(ctx, conn, "grant connect on database %s to %s", ident(r.database()), ident(role)); err != nil {
				return err
			}
		}
		if !ok {
			return nil
		}
		for _, maker := range r.roles() {
			for _, grant := range []string{"usage on schemas", "select on tables", "select on sequences"} {
				if err := do(ctx, conn, "alter default privileges for role %s grant %s to %s", ident(maker), grant, ident(reader.Role)); err != nil {
					return err
				}
			}
		}
		return grantThere(ctx, conn, reader.Role)
	})
}

// grantThere lets a role read what is in the database already.
func grantThere(ctx context.Context, conn *pgx.Conn, role string) error {
	rows, err := conn.Query(ctx, "select nspname from pg_namespace where nspname !~ '^pg_' and nspname <> 'information_schema'")
	if err != nil {
		return err
	}
	schemas, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	for _, schema := range schemas {
		for _, grant := range []string{"usage on schema %s", "select on all tables in schema %s", "select on all sequences in schema %s"} {
			if err := do(ctx, conn, "grant "+grant+" to %s", ident(schema), ident(role)); err != nil {
				return err
			}
		}
	}
	return nil
}

// dropRole drops a role, and what other databases' owners granted to it.
func (c *cluster) dropRole(ctx context.Context, conn *pgx.Conn, role string) error {
	err := do(ctx, conn, "drop role if exists %s", ident(role))
	if !isCode(err, dependentObjects) {
		return err
	}
	rows, err := conn.Query(ctx, "select datname from pg_database where datallowconn and has_database_privilege(datname, 'connect')")
	if err != nil {
		return err
	}
	databases, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	for _, database := range databases {
		err := c.in(ctx, database, func(conn *pgx.Conn) error {
			return do(ctx, conn, "drop owned by %s", ident(role))
		})
		if err != nil && !isCode(err, noSuchDatabase) { // it was dropped meanwhile
			return err
		}
	}
	return do(ctx, conn, "drop role if exists %s", ident(role))
}

// disconnect ends the connections of roles.
func disconnect(ctx context.Context, conn *pgx.Conn, roles ...string) error {
	_, err := conn.Exec(ctx, "select pg_terminate_backend(pid) from pg_stat_activity where usename = any($1)", roles)
	return err
}

func noCredential(name string) error {
	e := platform.Errorf(platform.NotFound, "There is no credential %q; make it with pg:credentials:create.", name)
	e.Resource = "credential"
	return e
}

// What the server says when something is not as a statement takes it to be.
const (
	insufficientPrivilege = "42501"
	undefinedObject       = "42704"
	dependentObjects      = "2BP01"
	noSuchDatabase        = "3D000"
)

func isCode(err error, code string) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && e.Code == code
}

// isTransient says that the server is down only for a moment: it refuses
// connections, drops them, or says that it is starting or crashing.
func isTransient(err error) bool {
	if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET) {
		return true
	}
	for _, code := range []string{"57P01", "57P02", "57P03"} {
		if isCode(err, code) {
			return true
		}
	}
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial" && !op.Timeout()
}
