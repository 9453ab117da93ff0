// Users is a web service that creates, reads, updates, deletes, lists and
// searches users. Postgres is the only truth; Redis, before it, makes reads
// fast and can never make them wrong; Kafka, beside it, is told of each change.
//
//	app           serve HTTP on $PORT
//	app migrate   bring the schema up to date (the release phase)
//	app seed      add users to look at (postdeploy)
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		slog.Error("stopped", "error", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	var level slog.Level
	if err := level.UnmarshalText([]byte(getenv("LOG_LEVEL", "info"))); err != nil {
		return fmt.Errorf("LOG_LEVEL: %w", err)
	}
	slog.SetDefault(slog.New(requestLog{slog.NewJSONHandler(os.Stdout, &slog.HandlerOptions{Level: level})}))
	redis.SetLogger(redisLog{})
	database := os.Getenv("DATABASE_URL")
	if database == "" {
		return errors.New("DATABASE_URL is not set; attach a database (heroku addons:create heroku-postgresql)")
	}
	switch {
	case len(args) == 0:
		return serve(ctx, database)
	case len(args) == 1 && args[0] == "migrate":
		return runScript(ctx, database, schema)
	case len(args) == 1 && args[0] == "seed":
		return runScript(ctx, database, seed)
	default:
		return fmt.Errorf("there is no command %q; use migrate or seed, or none to serve", args)
	}
}

func serve(ctx context.Context, database string) error {
	db, err := openDatabase(ctx, database)
	if err != nil {
		return err
	}
	defer db.Close()
	cache, err := OpenCache(db, os.Getenv("REDIS_URL"), os.Getenv("REDIS_READER_URL"))
	if err != nil {
		return err
	}
	defer cache.Close()
	kafka, err := kafkaFromEnv()
	if err != nil {
		return err
	}
	outbox := &Outbox{db: db, kafka: kafka}
	go outbox.Publish(ctx)

	app := newServer(&Users{db: db, cache: cache, outbox: outbox})
	stopped := make(chan error, 1)
	go func() {
		<-ctx.Done()
		stopped <- app.ShutdownWithTimeout(25 * time.Second) // Heroku kills after 30
	}()
	address := ":" + getenv("PORT", "5000")
	slog.Info("serving", "address", address)
	if err := app.Listen(address); err != nil {
		return err
	}
	return <-stopped
}

func openDatabase(ctx context.Context, url string) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, errors.New("DATABASE_URL is not a postgres:// URL") // err would show the password
	}
	config.ConnConfig.ConnectTimeout = 3 * time.Second
	config.ConnConfig.RuntimeParams["statement_timeout"] = "5s"
	// An essential-0 database takes 20 connections, and while a release is
	// rolled out two dynos share them. The outbox has one more.
	config.MaxConns = 8
	return pgxpool.NewWithConfig(ctx, config)
}

// redisLog makes what the Redis library has to say part of the log. Failures
// that matter come back as errors, and are logged where they do.
type redisLog struct{}

func (redisLog) Printf(ctx context.Context, format string, args ...any) {
	slog.DebugContext(ctx, fmt.Sprintf(format, args...))
}

func getenv(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}
