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
	r, c, unlock, err := p.open(ctx, id)
	if err != nil {
		return nil, err
	}
	defer unlock()
	login, ok := r.Credentials[name]
	if !ok {
		return nil, noCredential(name)
	}
	login.Password = engine.Password()
	r.Credentials[name] = login
	if err := p.save(r); err != nil {
		return nil, err
	}
	return c.config(r, name), c.admin(ctx, func(conn *pgx.Conn) error {
		if err := c.applyRole(ctx, conn, r, name); err != nil {
			return err
		}
		_, err := conn.Exec(ctx, "select pg_terminate_backend(pid) from pg_stat_activity where usename = $1", login.Role)
		return err
	})
}

// CreateCredential makes another role that may enter the database.
func (p *Provider) CreateCredential(ctx context.Context, id, name string) (map[string]string, error) {
	if !credentialName.MatchString(name) {
		return nil, platform.Invalid("A credential's name starts with a letter and has up to 50 letters, digits, dashes and underscores.")
	}
	r, c, unlock, err := p.open(ctx, id)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if _, ok := r.Credentials[name]; !ok {
		r.Credentials[name] = newCredential(id, name)
		if err := p.save(r); err != nil {
			return nil, err
		}
	}
	return c.config(r, name), c.admin(ctx, func(conn *pgx.Conn) error {
		return c.applyRole(ctx, conn, r, name)
	})
}

// DestroyCredential drops the role. What it owns goes to the default one.
func (p *Provider) DestroyCredential(ctx context.Context, id, name string) error {
	if name == addons.Default {
		return platform.Invalid("The default credential cannot be destroyed; destroy the add-on, or rotate the credential.")
	}
	r, c, unlock, err := p.open(ctx, id)
	if err != nil {
		return err
	}
	defer unlock()
	login, ok := r.Credentials[name]
	if !ok {
		return nil
	}
	err = c.in(ctx, r.database(), func(conn *pgx.Conn) error {
		if _, err := conn.Exec(ctx, "select pg_terminate_backend(pid) from pg_stat_activity where usename = $1", login.Role); err != nil {
			return err
		}
		err := do(ctx, conn, "reassign owned by %s to %s", ident(login.Role), ident(r.owner()))
		if err != nil && !isCode(err, "42704") { // undefined_object: an earlier call dropped it
			return err
		}
		return c.dropRole(ctx, conn, login.Role)
	})
	if err != nil {
		return err
	}
	delete(r.Credentials, name)
	return p.save(r)
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
	err = do(ctx, conn, "create role %s", role)
	if err != nil && !isCode(err, "42710") { // duplicate_object
		return err
	}
	err = do(ctx, conn, "alter role %s login nosuperuser nocreatedb nocreaterole noreplication nobypassrls connection limit %d password %s",
		role, limit(r.Plan), quote(secret))
	if err != nil {
		return err
	}
	if name == addons.Default {
		return nil // it owns the database
	}
	if name == readOnly {
		// Reads everything where it may connect, which is here alone.
		if err := do(ctx, conn, "grant pg_read_all_data to %s", role); err != nil {
			return err
		}
	}
	return do(ctx, conn, "grant connect on database %s to %s", ident(r.database()), role)
}

// dropRole drops a role, and what other databases' owners granted to it.
func (c *cluster) dropRole(ctx context.Context, conn *pgx.Conn, role string) error {
	err := do(ctx, conn, "drop role if exists %s", ident(role))
	if !isCode(err, "2BP01") { // dependent_objects_still_exist
		return err
	}
	rows, err := conn.Query(ctx, "select datname from pg_database where datallowconn")
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
		if err != nil && !isCode(err, "3D000") { // invalid_catalog_name: it was dropped meanwhile
			return err
		}
	}
	return do(ctx, conn, "drop role if exists %s", ident(role))
}

func noCredential(name string) error {
	e := platform.Errorf(platform.NotFound, "There is no credential %q; make it with pg:credentials:create.", name)
	e.Resource = "credential"
	return e
}

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
