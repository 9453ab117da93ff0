package postgres_test

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"niwa/addons"
	"niwa/addons/addonstest"
	"niwa/addons/engine"
	"niwa/addons/postgres"
	"niwa/platform/platformtest/need"
)

// elsewhere is a server that is not niwa's own, with an administrator who is
// no superuser.
type elsewhere struct {
	*addonstest.Home
	provider *postgres.Provider // the server is that of another niwa
	url      string             // of the administrator
}

// serverOf starts a server on an engine. PostgreSQL 16 and later have other
// rules for who may do what with a role: here the native one is older than
// that on Debian 12, and the embedded one newer.
func serverOf(t *testing.T, mode engine.Mode) *elsewhere {
	t.Helper()
	if mode == engine.Native {
		needPostgres(t)
	}
	home := addonstest.NewHome(t)
	p, err := postgres.New(t.Context(), home.Config(mode))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close(context.Background()) })
	if _, err := p.Provision(t.Context(), addons.Request{ID: uuid.NewString()}); err != nil {
		if strings.Contains(err.Error(), "cannot be downloaded") {
			need.Reason(t, "needs the network: "+err.Error())
		}
		t.Fatal(err)
	}
	s := &elsewhere{Home: home, provider: p}
	s.url = s.administrator(t, "landlord", "createdb createrole")
	template := superuser(t, home.EngineDir()).Config().Copy()
	template.Database = "template1"
	execute(t, template, "grant execute on function pg_stat_reset to landlord")
	return s
}

// administrator makes a role with a database to connect to, and returns its
// URL.
func (s *elsewhere) administrator(t *testing.T, name, rights string) string {
	t.Helper()
	server := superuser(t, s.EngineDir()).Config()
	secret := engine.Password()
	execute(t, server, fmt.Sprintf("create role %s login %s password '%s'", name, rights, secret))
	execute(t, server, fmt.Sprintf("create database %s owner %[1]s", name))
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(name, secret), Host: fmt.Sprintf("127.0.0.1:%d", server.Port),
		Path: "/" + name, RawQuery: "sslmode=require",
	}
	return u.String()
}

func execute(t *testing.T, config *pgx.ConnConfig, sql string) {
	t.Helper()
	conn, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func TestTheExternalEngineKeepsTheContract(t *testing.T) {
	for _, mode := range []engine.Mode{engine.Native, engine.Embedded} {
		t.Run(string(mode)+" server", func(t *testing.T) {
			server := serverOf(t, mode)
			s := suite(engine.Config{Choice: engine.Choice{Mode: engine.External, URL: server.url}})
			s.Elsewhere = true
			s.Kill = func(t *testing.T, _ *addonstest.Home, _ string) { addonstest.KillProcess(t, server.Procs, "postgres") }
			s.Remains = func(t *testing.T, _ *addonstest.Home, id string) []string {
				return remains(t, superuser(t, server.EngineDir()), id, "niwa_d", "niwa_u")
			}
			addonstest.Run(t, s)
		})
	}
}

func TestWhatAnAdministratorLacksIsSaid(t *testing.T) {
	server := serverOf(t, engine.Native)
	config := addonstest.NewHome(t).Config(engine.External)
	config.URL = server.administrator(t, "clerk", "createdb")
	p, err := postgres.New(t.Context(), config)
	if err != nil {
		t.Fatalf("the platform must come up all the same: %v", err)
	}
	t.Cleanup(func() { _ = p.Close(context.Background()) })
	_, err = p.Provision(t.Context(), addons.Request{ID: uuid.NewString()})
	if err == nil || !strings.Contains(err.Error(), `alter role "clerk" createdb createrole`) {
		t.Errorf("got %v", err)
	}
	secret := parseURL(t, config.URL).Password
	if strings.Contains(err.Error(), secret) {
		t.Error("the error holds the password")
	}
}

func TestDatabasesStayWhereTheyWereMade(t *testing.T) {
	server := serverOf(t, engine.Native)
	home := addonstest.NewHome(t)
	reopen := func(mode engine.Mode, url string) *postgres.Provider {
		t.Helper()
		config := home.Config(mode)
		config.URL = url
		p, err := postgres.New(t.Context(), config)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	closed := func(p *postgres.Provider) {
		t.Helper()
		if err := p.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	p := reopen(engine.Auto, "")
	here, url := provision(t, p)
	execute(t, parseURL(t, url+"?sslmode=require"), "create table kept ()")
	closed(p)

	p = reopen(engine.Auto, server.url)
	there, other := provision(t, p)
	if parseURL(t, other).Port == parseURL(t, url).Port {
		t.Error("a new database was made here, though a server elsewhere is named")
	}
	execute(t, parseURL(t, url+"?sslmode=require"), "select from kept")
	closed(p)

	for _, c := range []struct {
		mode engine.Mode
		url  string
		id   string // that cannot be had
		want string
	}{
		{engine.Auto, "", there, "--postgres-url"},
		{engine.External, server.url, here, "--engines auto"},
	} {
		p = reopen(c.mode, c.url)
		for _, id := range []string{here, there} {
			_, err := p.Info(t.Context(), id, addons.Plan{})
			if lost := id == c.id; (err != nil) != lost || lost && !strings.Contains(err.Error(), c.want) {
				t.Errorf("--engines %s: %v", c.mode, err)
			}
		}
		closed(p)
	}
	p = reopen(engine.Auto, server.url)
	for _, id := range []string{here, there} {
		if err := p.Deprovision(t.Context(), id); err != nil {
			t.Error(err)
		}
	}
	closed(p)
}
