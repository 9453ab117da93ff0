package postgres_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"niwa/addons"
	"niwa/addons/addonstest"
	"niwa/addons/engine"
	"niwa/addons/postgres"
	"niwa/platform"
	"niwa/platform/platformtest/need"
)

func open(t *testing.T) (*postgres.Provider, *addonstest.Home) {
	t.Helper()
	needPostgres(t)
	home := addonstest.NewHome(t)
	p, err := postgres.New(t.Context(), home.Config(engine.Native))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(context.Background()); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return p, home
}

func provision(t *testing.T, p *postgres.Provider) (id, url string) {
	t.Helper()
	id = uuid.NewString()
	resource, err := p.Provision(t.Context(), addons.Request{ID: id, Plan: plan("essential-0", 20)})
	if err != nil {
		t.Fatal(err)
	}
	return id, resource.Config["URL"]
}

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url+"?sslmode=require")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func code(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// TestDatabases looks at databases as the apps that own them do. One cluster
// serves all of it, as it does in life.
func TestDatabases(t *testing.T) {
	p, home := open(t)
	for name, test := range map[string]func(*testing.T, *postgres.Provider, *addonstest.Home){
		"psql works with the URL":                                  psqlWorksWithTheURL,
		"a connection without TLS is refused":                      aConnectionWithoutTLSIsRefused,
		"the owner of a database is nobody elsewhere":              theOwnerOfADatabaseIsNobodyElsewhere,
		"extensions that Heroku has work":                          extensionsThatHerokuHasWork,
		"reset empties a database and keeps its URLs":              resetEmptiesADatabaseAndKeepsItsURLs,
		"disconnect ends the connections of one database":          disconnectEndsTheConnectionsOfOneDatabase,
		"a credential has what it is granted, leaves what it owns": aCredentialHasWhatItIsGrantedAndLeavesWhatItOwns,
		"grants between strangers do not keep an add-on alive":     grantsBetweenStrangersDoNotKeepAnAddonAlive,
		"an option that is not here is refused":                    anOptionThatIsNotHereIsRefused,
		"secret files are the owner's alone":                       secretFilesAreTheOwnersAlone,
	} {
		t.Run(name, func(t *testing.T) { test(t, p, home) })
	}
}

func psqlWorksWithTheURL(t *testing.T, p *postgres.Provider, home *addonstest.Home) {
	psql := need.Tool(t, "psql")
	_, url := provision(t, p)
	cmd := exec.Command(psql, "--no-psqlrc", "-At", "-c", "select ssl from pg_stat_ssl where pid = pg_backend_pid()", url)
	cmd.Env = append(os.Environ(), "PGSSLMODE=verify-ca", "PGSSLROOTCERT="+home.CA.CertFile())
	if out, err := cmd.CombinedOutput(); err != nil || strings.TrimSpace(string(out)) != "t" {
		t.Errorf("psql says %q, %v", out, err)
	}
}

func aConnectionWithoutTLSIsRefused(t *testing.T, p *postgres.Provider, home *addonstest.Home) {
	_, url := provision(t, p)
	if conn, err := pgx.Connect(t.Context(), url+"?sslmode=disable"); err == nil {
		_ = conn.Close(t.Context())
		t.Error("let in")
	}
}

func theOwnerOfADatabaseIsNobodyElsewhere(t *testing.T, p *postgres.Provider, home *addonstest.Home) {
	_, url := provision(t, p)
	_, other := provision(t, p)
	conn := connect(t, url)
	for _, sql := range []string{
		"create role x", "create database x", "alter role current_user superuser", "alter system set fsync = off",
		"alter role current_user connection limit 1000",
		"copy (select 1) to program 'true'", "copy (select 1) to '/tmp/x'", "select pg_read_file('postgresql.conf')",
		"select * from pg_authid", "select pg_reload_conf()",
		"grant pg_read_all_data to current_user",
		"drop role " + user(t, other), "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'postgres'",
	} {
		_, err := conn.Exec(t.Context(), sql)
		if err == nil {
			t.Errorf("%s: allowed", sql)
		}
	}
	for _, database := range []string{"postgres", "template1", database(t, other)} {
		conf := conn.Config().Copy()
		conf.Database = database
		if conn, err := pgx.ConnectConfig(t.Context(), conf); err == nil {
			_ = conn.Close(t.Context())
			t.Errorf("let into %s", database)
		} else if code(err) != "42501" {
			t.Errorf("%s: %v", database, err)
		}
	}
}

func user(t *testing.T, url string) string     { return parseURL(t, url).User }
func database(t *testing.T, url string) string { return parseURL(t, url).Database }

func parseURL(t *testing.T, url string) *pgx.ConnConfig {
	t.Helper()
	c, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func extensionsThatHerokuHasWork(t *testing.T, p *postgres.Provider, home *addonstest.Home) {
	_, url := provision(t, p)
	conn := connect(t, url)
	var list string
	if err := conn.QueryRow(t.Context(), "show extwlist.extensions").Scan(&list); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(list, "hstore") {
		need.Reason(t, "needs the contrib modules of PostgreSQL")
	}
	for _, name := range strings.Split(list, ",") {
		if _, err := conn.Exec(t.Context(), "create extension if not exists "+pgx.Identifier{name}.Sanitize()+" cascade"); err != nil {
			t.Errorf("create extension %s: %v", name, err)
		}
	}
	var calls int
	if err := conn.QueryRow(t.Context(), `select count(*) from pg_stat_statements s join pg_database d on d.oid = s.dbid where datname = current_database()`).Scan(&calls); err != nil || calls == 0 {
		t.Errorf("pg:outliers would find %d statements, %v", calls, err)
	}
}

func resetEmptiesADatabaseAndKeepsItsURLs(t *testing.T, p *postgres.Provider, home *addonstest.Home) {
	id, url := provision(t, p)
	reader, err := p.CreateCredential(t.Context(), id, "readonly")
	if err != nil {
		t.Fatal(err)
	}
	conn := connect(t, url)
	if _, err := conn.Exec(t.Context(), "create schema s; create table s.t (); create table t (); create extension hstore"); err != nil {
		t.Fatal(err)
	}
	if err := p.Reset(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	var tables int
	err = connect(t, url).QueryRow(t.Context(), "select count(*) from pg_stat_user_tables").Scan(&tables)
	if err != nil || tables != 0 {
		t.Errorf("%d tables are left, %v", tables, err)
	}
	connect(t, reader["URL"])
}

func disconnectEndsTheConnectionsOfOneDatabase(t *testing.T, p *postgres.Provider, home *addonstest.Home) {
	id, url := provision(t, p)
	_, other := provision(t, p)
	conn, stranger := connect(t, url), connect(t, other)
	if err := p.Disconnect(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if err := conn.Ping(t.Context()); err == nil {
		t.Error("the connection still works")
	}
	if err := stranger.Ping(t.Context()); err != nil {
		t.Errorf("another database's connection was ended: %v", err)
	}
}

func aCredentialHasWhatItIsGrantedAndLeavesWhatItOwns(t *testing.T, p *postgres.Provider, home *addonstest.Home) {
	id, url := provision(t, p)
	config, err := p.CreateCredential(t.Context(), id, "Analyst-1")
	if err != nil {
		t.Fatal(err)
	}
	owner, analyst := connect(t, url), connect(t, config["URL"])
	if _, err := owner.Exec(t.Context(), "create table t (n int)"); err != nil {
		t.Fatal(err)
	}
	if _, err := analyst.Exec(t.Context(), "select * from t"); code(err) != "42501" {
		t.Errorf("it reads without a grant: %v", err)
	}
	role := user(t, config["URL"])
	if _, err := owner.Exec(t.Context(), "grant select on t to "+role+"; create schema work; grant create, usage on schema work to "+role); err != nil {
		t.Fatal(err)
	}
	if _, err := analyst.Exec(t.Context(), "select * from t; create table work.mine ()"); err != nil {
		t.Fatal(err)
	}
	if err := p.DestroyCredential(t.Context(), id, "Analyst-1"); err != nil {
		t.Fatal(err)
	}
	if _, err := owner.Exec(t.Context(), "drop table work.mine"); err != nil {
		t.Errorf("what it owned did not go to the default credential: %v", err)
	}
}

func grantsBetweenStrangersDoNotKeepAnAddonAlive(t *testing.T, p *postgres.Provider, home *addonstest.Home) {
	id, url := provision(t, p)
	_, other := provision(t, p)
	if _, err := connect(t, other).Exec(t.Context(), "create table t (); grant select on t to "+user(t, url)); err != nil {
		t.Fatal(err)
	}
	if err := p.Deprovision(t.Context(), id); err != nil {
		t.Fatal(err)
	}
}

func TestAPortThatWasTakenMeanwhileIsNamed(t *testing.T) {
	p, home := open(t)
	id, url := provision(t, p)
	if err := p.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	occupy(t, parseURL(t, url).Port)
	again, err := postgres.New(t.Context(), home.Config(engine.Native))
	if err != nil {
		t.Fatalf("the platform must come up all the same: %v", err)
	}
	_, err = again.Info(t.Context(), id, addons.Plan{})
	if err == nil || !strings.Contains(err.Error(), "in use by another process") {
		t.Errorf("got %v", err)
	}
}

func TestAStalePidFileIsNoObstacle(t *testing.T) {
	p, home := open(t)
	id, url := provision(t, p)
	if err := p.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	stranger := exec.Command("sleep", "60")
	stranger.Dir = "/"
	if err := stranger.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stranger.Process.Kill(); _ = stranger.Wait() })
	writePidFile(t, filepath.Join(home.Dir, "engine", "cluster"), stranger.Process.Pid)
	again, err := postgres.New(t.Context(), home.Config(engine.Native))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = again.Close(context.Background()) })
	connect(t, url)
	if err := again.Deprovision(t.Context(), id); err != nil {
		t.Error(err)
	}
}

func anOptionThatIsNotHereIsRefused(t *testing.T, p *postgres.Provider, home *addonstest.Home) {
	for name, value := range map[string]string{"fork": "DATABASE", "follow": "DATABASE", "version": "9"} {
		var e *platform.Error
		_, err := p.Provision(t.Context(), addons.Request{ID: uuid.NewString(), Options: map[string]string{name: value}})
		if !errors.As(err, &e) || e.ID != platform.InvalidParams {
			t.Errorf("--%s %s: %v", name, value, err)
		}
	}
}

func TestAFirstProvisionThatIsCutOffCanBeMadeAgain(t *testing.T) {
	p, home := open(t)
	id := uuid.NewString()
	for _, after := range []time.Duration{5 * time.Millisecond, 100 * time.Millisecond, 300 * time.Millisecond} {
		ctx, cancel := context.WithTimeout(t.Context(), after)
		_, err := p.Provision(ctx, addons.Request{ID: id})
		cancel()
		if err == nil {
			break
		}
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("after %v: %v", after, err)
		}
		if _, runs := home.Procs.Get("postgres-initdb"); runs {
			t.Error("initdb runs on")
		}
	}
	resource, err := p.Provision(t.Context(), addons.Request{ID: id})
	if err != nil {
		t.Fatal(err)
	}
	connect(t, resource.Config["URL"])
}
