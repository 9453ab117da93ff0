package apptest

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"niwa/platform/platformtest/need"
)

// postgres is a server that can be killed and started again where it was.
type postgres struct {
	*server
	owner              *testing.T // the test that it lasts for
	program, dir, port string
}

func startPostgres(t *testing.T) *postgres {
	const bin = "/usr/lib/postgresql/15/bin"
	initdb := need.Tool(t, "initdb", bin)
	p := &postgres{owner: t, program: need.Tool(t, "postgres", bin), dir: dir(t), port: freePort(t)}
	cmd := unprivileged(exec.Command(initdb, "-D", p.dir+"/pg", "-U", "app", "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C"))
	cmd.Dir = "/"
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	certify(t, nil).write(t, p.dir)
	const access = "host all app all trust\nhostssl all secured all scram-sha-256\n"
	if err := os.WriteFile(p.dir+"/pg/pg_hba.conf", []byte(access), 0o644); err != nil {
		t.Fatal(err)
	}
	p.start(t)
	(&database{p, "postgres"}).must(t, "CREATE ROLE secured SUPERUSER LOGIN PASSWORD '"+databaseSecret+"'")
	return p
}

// url is where a database is found, in TLS where the client likes.
func (p *postgres) url(database string) string {
	return "postgres://app@127.0.0.1:" + p.port + "/" + database
}

func (p *postgres) start(t *testing.T) {
	t.Helper()
	p.server = start(p.owner, nil, "/", p.program, "-D", p.dir+"/pg", "-p", p.port, "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "fsync=off",
		"-c", "ssl=on", "-c", "ssl_cert_file="+p.dir+"/cert.pem", "-c", "ssl_key_file="+p.dir+"/key.pem")
	await(t, p.server, func(ctx context.Context) error {
		conn, err := pgx.Connect(ctx, p.url("postgres"))
		if err == nil {
			err = conn.Close(ctx)
		}
		return err
	})
}

// crash ends it without a word to anybody, and starts it again.
func (p *postgres) crash(t *testing.T) {
	p.end(t, syscall.SIGQUIT)
	p.start(t)
}

// database is an app's.
type database struct {
	*postgres
	name string
}

// plain is where it is found without TLS.
func (d *database) plain() string { return d.url(d.name) + "?sslmode=disable" }

// secured is where it is found as on Heroku: with a password, and in TLS with a
// certificate that nobody signed.
func (d *database) secured() string {
	u := url.URL{Scheme: "postgres", User: url.UserPassword("secured", databaseSecret), Host: "127.0.0.1:" + d.port, Path: d.name, RawQuery: "sslmode=require"}
	return u.String()
}

// new makes an empty one.
func (p *postgres) new(t *testing.T, name string) *database {
	t.Helper()
	(&database{p, "postgres"}).must(t, "CREATE DATABASE "+pgx.Identifier{name}.Sanitize())
	return &database{p, name}
}

// must runs a statement.
func (d *database) must(t *testing.T, sql string) {
	t.Helper()
	if _, err := d.connect(t).Exec(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
}

func (d *database) connect(t *testing.T) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), d.url(d.name)+"?application_name=apptest")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

// lock keeps a user's row from being changed until it is released.
func (d *database) lock(t *testing.T, user User) (release func()) {
	t.Helper()
	tx, err := d.connect(t).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `SELECT FROM users WHERE id = $1 FOR UPDATE`, user.ID); err != nil {
		t.Fatal(err)
	}
	return func() { tx.Rollback(context.Background()) }
}

// Passwords, which no log may show.
const (
	databaseSecret = "s3cret/of:the@database"
	writerSecret   = "s3cret-of-the-writer"
	readerSecret   = "s3cret-of-the-reader"
)

// cacheServer is a Redis that can be killed and started again where it was.
type cacheServer struct {
	*server
	owner     *testing.T // the test that it lasts for
	port, tls string
	dir       string
	admin     *redis.Client
}

func startRedis(t *testing.T) *cacheServer {
	c := &cacheServer{owner: t, port: freePort(t), tls: freePort(t), dir: dir(t)}
	certify(t, nil).write(t, c.dir)
	c.start(t)
	return c
}

// url is where a user, or the default one of no name, finds it: by itself or in
// TLS with a certificate that nobody signed.
func (c *cacheServer) url(user, secret string, tls bool) string {
	if tls {
		return fmt.Sprintf("rediss://%s:%s@127.0.0.1:%s", user, secret, c.tls)
	}
	return fmt.Sprintf("redis://%s:%s@127.0.0.1:%s", user, secret, c.port)
}

func (c *cacheServer) start(t *testing.T) {
	t.Helper()
	conf := fmt.Sprintf("bind 127.0.0.1\nport %s\ndir %s\nsave \"\"\n"+
		"tls-port %[3]s\ntls-cert-file %[2]s/cert.pem\ntls-key-file %[2]s/key.pem\ntls-auth-clients no\n"+
		"user default on >%[4]s ~* &* +@all\nuser reader on >%[5]s ~* &* +@read +@connection +info\n", c.port, c.dir, c.tls, writerSecret, readerSecret)
	if err := os.WriteFile(filepath.Join(c.dir, "redis.conf"), []byte(conf), 0o644); err != nil {
		t.Fatal(err)
	}
	c.server = start(c.owner, nil, "/", need.Tool(t, "redis-server"), filepath.Join(c.dir, "redis.conf"))
	c.admin = redis.NewClient(&redis.Options{Addr: "127.0.0.1:" + c.port, Username: "default", Password: writerSecret, ClientName: "apptest", MaxRetries: -1})
	c.owner.Cleanup(func() { c.admin.Close() })
	await(t, c.server, func(ctx context.Context) error { return c.admin.Ping(ctx).Err() })
}

// must runs a command as the administrator.
func (c *cacheServer) must(t *testing.T, args ...any) {
	t.Helper()
	if err := c.admin.Do(t.Context(), args...).Err(); err != nil {
		t.Fatalf("redis %v: %v", args, err)
	}
}

// keys lists what is in the cache.
func (c *cacheServer) keys(t *testing.T) []string {
	t.Helper()
	keys, err := c.admin.Keys(t.Context(), "*").Result()
	if err != nil {
		t.Fatal(err)
	}
	return keys
}
