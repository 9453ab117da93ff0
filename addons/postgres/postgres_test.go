package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"niwa/addons"
	"niwa/addons/addonstest"
	"niwa/addons/engine"
	"niwa/addons/postgres"
	"niwa/platform/platformtest/need"
	"niwa/platform/platformtest/standin"
)

func plan(name string, connections int) addons.Plan {
	return addons.Plan{Name: "heroku-postgresql:" + name, Connections: connections, StorageBytes: 1 << 30}
}

func suite(c engine.Config) addonstest.Suite {
	return addonstest.Suite{
		Config:  c,
		Open:    openProvider,
		Dial:    dial,
		Plan:    plan("essential-0", 4),
		Larger:  plan("standard-0", 7),
		Durable: true,
		Kill:    func(t *testing.T, h *addonstest.Home, _ string) { addonstest.KillProcess(t, h.Procs, "postgres") },
		Remains: func(t *testing.T, h *addonstest.Home, id string) []string {
			if _, err := os.Stat(filepath.Join(h.EngineDir(), "cluster")); errors.Is(err, fs.ErrNotExist) {
				return nil // it was not made yet
			}
			return remains(t, superuser(t, h.EngineDir()), id, "d", "u")
		},
		WriteRefused: func(err error) bool { return code(err) == "42501" }, // insufficient_privilege
	}
}

func TestTheNativeEngineKeepsTheContract(t *testing.T) {
	needPostgres(t)
	addonstest.Run(t, suite(only(engine.Native)))
}

func TestTheEmbeddedEngineKeepsTheContract(t *testing.T) {
	s := suite(only(engine.Embedded))
	s.Lacks = "pg_dump and pg_restore 18 or newer are not here"
	s.Open = func(ctx context.Context, c engine.Config) (addonstest.Provider, error) {
		p, err := postgres.New(ctx, c)
		if err != nil {
			return nil, err
		}
		id := uuid.NewString()
		_, err = p.Provision(ctx, addons.Request{ID: id})
		if err != nil && strings.Contains(err.Error(), "cannot be downloaded") {
			need.Reason(t, "needs the network: "+err.Error())
		}
		return p, errors.Join(err, p.Deprovision(ctx, id))
	}
	addonstest.Run(t, s)
}

func TestTheDockerEngineKeepsTheContract(t *testing.T) {
	standin.Engine(t)
	s := suite(engine.Config{})
	addonstest.Run(t, addonstest.InDocker(t, s, standin.Make(t).Postgres, func(string) string { return "postgres" }))
}

func TestAnAppInAContainerReachesItsDatabaseAndNobodyElses(t *testing.T) {
	needPostgres(t)
	host, err := standin.Engine(t).Gateway(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	home := addonstest.NewHome(t)
	config := home.Config(engine.Native)
	config.Host = host
	p, err := postgres.New(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close(context.Background()) })
	_, url := provision(t, p)
	psql := func(url string) (string, error) {
		return standin.Run(t, standin.Make(t).Tools, []string{"URL=" + url}, "sh", "-c", `psql -At -c "select current_database()" "$URL"`)
	}
	if said, err := psql(url + "?sslmode=require"); err != nil || strings.TrimSpace(said) != database(t, url) {
		t.Errorf("psql says %q, %v", said, err)
	}
	if said, err := psql(url + "?sslmode=disable"); err == nil {
		t.Errorf("without TLS psql says %q", said)
	}
	admin := superuser(t, home.EngineDir()).Config()
	said, err := psql(fmt.Sprintf("postgres://postgres:%s@%s:%d/postgres", admin.Password, host, admin.Port))
	if err == nil || !strings.Contains(said, "rejects connection") {
		t.Errorf("as the superuser psql says %q, %v", said, err)
	}
}

func only(mode engine.Mode) engine.Config { return engine.Config{Choice: engine.Choice{Mode: mode}} }

func needPostgres(t testing.TB) {
	t.Helper()
	if len(engine.FindPostgres()) == 0 {
		need.Reason(t, "needs postgres: "+engine.FixPostgres)
	}
}

type client struct{ conn *pgx.Conn }

func dial(ctx context.Context, config map[string]string) (addonstest.Client, error) {
	conn, err := pgx.Connect(ctx, config["URL"]+map[bool]string{true: "&", false: "?"}[strings.Contains(config["URL"], "?")]+"sslmode=require")
	if err != nil {
		return nil, err
	}
	return client{conn}, nil
}

func (c client) Put(ctx context.Context, key, value string) error {
	_, err := c.conn.Exec(ctx, "create table if not exists kept (key text primary key, value text)")
	var e *pgconn.PgError
	if errors.As(err, &e) && e.Code == "42501" { // the reader may still try to write
		err = nil
	}
	if err != nil {
		return err
	}
	_, err = c.conn.Exec(ctx, "insert into kept values ($1, $2) on conflict (key) do update set value = excluded.value", key, value)
	return err
}

func (c client) Get(ctx context.Context, key string) (value string, err error) {
	err = c.conn.QueryRow(ctx, "select value from kept where key = $1", key).Scan(&value)
	return value, err
}

func (c client) Secure(ctx context.Context) (secure bool, err error) {
	err = c.conn.QueryRow(ctx, "select ssl from pg_stat_ssl where pid = pg_backend_pid()").Scan(&secure)
	return secure, err
}

func (c client) Close() { _ = c.conn.Close(context.Background()) }

// superuser opens the cluster of a provider's directory as nobody but niwa
// should be able to.
func superuser(t *testing.T, dir string) *pgx.Conn {
	t.Helper()
	var record struct {
		Port     uint16
		Password string
	}
	if err := engine.Load(filepath.Join(dir, "cluster.json"), &record); err != nil {
		t.Fatal(err)
	}
	config, err := pgx.ParseConfig("host=127.0.0.1 user=postgres dbname=postgres sslmode=require")
	if err != nil {
		t.Fatal(err)
	}
	config.Port, config.Password = record.Port, record.Password
	conn, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// remains lists what a server has of an add-on.
func remains(t *testing.T, server *pgx.Conn, id, databases, roles string) []string {
	t.Helper()
	rows, err := server.Query(t.Context(),
		"select datname from pg_database where datname = $1 union all select rolname from pg_roles where rolname = any($2)",
		engine.Name(databases, "database", id), []string{engine.Name(roles, "role", id, "default"), engine.Name(roles, "role", id, "readonly")})
	if err != nil {
		t.Fatal(err)
	}
	left, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return left
}

func secretFilesAreTheOwnersAlone(t *testing.T, p *postgres.Provider, home *addonstest.Home) {
	provision(t, p)
	for _, name := range []string{"cluster.json", "tls/server-key.pem", "cluster/pg_hba.conf"} {
		info, err := os.Stat(filepath.Join(home.Dir, "engine", name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", name, info.Mode())
		}
	}
}
