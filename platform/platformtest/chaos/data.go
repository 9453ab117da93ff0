//go:build linux

package chaos

import (
	"context"
	"crypto/tls"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
)

// rowTime is how long a data server may take to answer a client.
const rowTime = 5 * time.Second

// addRow writes a row as an app would that has nothing but the config var.
func addRow(ctx context.Context, url, row string) error {
	ctx, cancel := context.WithTimeout(ctx, rowTime)
	defer cancel()
	if strings.HasPrefix(url, "rediss://") {
		return withRedis(url, func(c *redis.Client) error { return c.Set(ctx, row, "planted", 0).Err() })
	}
	return withPostgres(ctx, url, func(c *pgx.Conn) error {
		if _, err := c.Exec(ctx, "create table if not exists rows (name text primary key)"); err != nil {
			return err
		}
		_, err := c.Exec(ctx, "insert into rows values ($1)", row)
		return err
	})
}

// rows reads all that was written, in order.
func rows(ctx context.Context, url string) (found []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, rowTime)
	defer cancel()
	if strings.HasPrefix(url, "rediss://") {
		err = withRedis(url, func(c *redis.Client) (err error) {
			found, err = c.Keys(ctx, "*").Result()
			return err
		})
	} else {
		err = withPostgres(ctx, url, func(c *pgx.Conn) error {
			var there bool
			if err := c.QueryRow(ctx, "select to_regclass('rows') is not null").Scan(&there); err != nil || !there {
				return err
			}
			all, err := c.Query(ctx, "select name from rows")
			if err != nil {
				return err
			}
			found, err = pgx.CollectRows(all, pgx.RowTo[string])
			return err
		})
	}
	slices.Sort(found)
	return found, err
}

func withRedis(url string, f func(*redis.Client) error) error {
	options, err := redis.ParseURL(url)
	if err != nil {
		return err
	}
	options.TLSConfig = &tls.Config{InsecureSkipVerify: true} // as Heroku says clients have to
	options.MaxRetries, options.PoolSize = -1, 1
	c := redis.NewClient(options)
	defer c.Close()
	return f(c)
}

func withPostgres(ctx context.Context, url string, f func(*pgx.Conn) error) error {
	c, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer c.Close(ctx)
	return f(c)
}
