package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"niwa/platform"
)

// Reset drops everything in the database. Config vars stay valid, and so do
// credentials, less what was granted to them.
func (p *Provider) Reset(ctx context.Context, id string) error {
	_, _, err := p.change(ctx, id, func(*record) (bool, error) { return true, nil }, func(c *cluster, r record) error {
		if err := c.admin(ctx, func(conn *pgx.Conn) error { return c.dropDatabase(ctx, conn, r) }); err != nil {
			return err
		}
		return c.apply(ctx, r)
	})
	return err
}

// Disconnect ends the connections of every credential.
func (p *Provider) Disconnect(ctx context.Context, id string) error {
	r, c, unlock, err := p.open(ctx, id)
	if err != nil {
		return err
	}
	defer unlock()
	return c.admin(ctx, func(conn *pgx.Conn) error { return disconnect(ctx, conn, r.roles()...) })
}

// ResetStats sets the statistics of the database back to zero.
func (p *Provider) ResetStats(ctx context.Context, id string) error {
	r, c, unlock, err := p.open(ctx, id)
	if err != nil {
		return err
	}
	defer unlock()
	return c.in(ctx, r.database(), func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, "select pg_stat_reset()")
		if isCode(err, insufficientPrivilege) {
			return platform.Errorf(platform.Forbidden, "niwa may not reset statistics there; an administrator can allow it: in template1, grant execute on function pg_stat_reset to %s.", ident(c.login.User))
		}
		if err != nil || !c.statements {
			return err
		}
		_, err = conn.Exec(ctx, "select pg_stat_statements_reset(0, oid, 0) from pg_database where datname = current_database()")
		return err
	})
}
