package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// Reset drops everything in the database. Config vars stay valid, and so do
// credentials, less what was granted to them.
func (p *Provider) Reset(ctx context.Context, id string) error {
	r, c, unlock, err := p.open(ctx, id)
	if err != nil {
		return err
	}
	defer unlock()
	err = c.admin(ctx, func(conn *pgx.Conn) error {
		return do(ctx, conn, "drop database if exists %s with (force)", ident(r.database()))
	})
	if err != nil {
		return err
	}
	return c.apply(ctx, r)
}

// Disconnect ends the connections of every credential.
func (p *Provider) Disconnect(ctx context.Context, id string) error {
	r, c, unlock, err := p.open(ctx, id)
	if err != nil {
		return err
	}
	defer unlock()
	return c.admin(ctx, func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, "select pg_terminate_backend(pid) from pg_stat_activity where datname = $1", r.database())
		return err
	})
}

// ResetStats sets the statistics of the database back to zero.
func (p *Provider) ResetStats(ctx context.Context, id string) error {
	r, c, unlock, err := p.open(ctx, id)
	if err != nil {
		return err
	}
	defer unlock()
	return c.in(ctx, r.database(), func(conn *pgx.Conn) error {
		if _, err := conn.Exec(ctx, "select pg_stat_reset()"); err != nil {
			return err
		}
		if !c.hasStatements() {
			return nil
		}
		_, err := conn.Exec(ctx, "select pg_stat_statements_reset(0, oid, 0) from pg_database where datname = current_database()")
		return err
	})
}
