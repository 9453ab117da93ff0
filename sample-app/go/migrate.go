package main

import (
	"context"
	_ "embed"

	"github.com/jackc/pgx/v5"
)

//go:embed schema.sql
var schema string

// migrate brings the schema up to date: all of it or nothing, since what is
// sent as one is one transaction. It runs in the release phase, before the new
// dynos start, and any number of times.
func migrate(ctx context.Context, databaseURL string) error {
	conn, err := pgx.Connect(ctx, databaseURL)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	_, err = conn.PgConn().Exec(ctx, schema).ReadAll()
	return err
}
