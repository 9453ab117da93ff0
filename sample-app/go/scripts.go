package main

import (
	"context"
	_ "embed"

	"github.com/jackc/pgx/v5"
)

var (
	//go:embed schema.sql
	schema string
	//go:embed seed.sql
	seed string
)

// runScript runs a script, any number of times: all of it or nothing, since what is
// sent as one is one transaction. The release phase brings the schema up to
// date before the new dynos start.
func runScript(ctx context.Context, databaseURL, script string) error {
	conn, err := pgx.Connect(ctx, databaseURL)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	_, err = conn.PgConn().Exec(ctx, script).ReadAll()
	return err
}
