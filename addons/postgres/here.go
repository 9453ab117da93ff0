package postgres

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"niwa/addons/engine"
)

// superuser administers the cluster here; its password never leaves this
// machine's file of it and the server.
const superuser = "postgres"

// clusterRecord is what has to stay the same over restarts.
type clusterRecord struct {
	Port     int         `json:"port"` // apps have it in their config vars
	Password string      `json:"password"`
	Engine   engine.Mode `json:"engine"` // that ran last
}

// start starts the cluster here, and makes it if there is none.
func (p *Provider) start(ctx context.Context) (*cluster, error) {
	if err := p.User.CheckReach(p.dataDir()); err != nil {
		return nil, err
	}
	record, err := p.clusterRecord()
	if err != nil {
		return nil, err
	}
	in, err := p.install(ctx, record.Engine)
	if err != nil {
		return nil, err
	}
	record.Engine = in.engine
	config, err := p.prepare(ctx, in, &record)
	if err != nil {
		return nil, err
	}
	c := &cluster{engine: in.engine, statements: in.statements, address: url.URL{Scheme: "postgres", Host: net.JoinHostPort(p.Host, strconv.Itoa(record.Port))}}
	if c.login, err = p.superuserAt(record); err != nil {
		return nil, err
	}
	c.server = &engine.Server{
		Task: engine.Task{
			ID: "postgres", Dir: p.Dir, Args: []string{in.program("postgres"), "-D", p.dataDir()},
			Log: filepath.Join(p.Dir, "server.log"), Config: config,
			Signal: syscall.SIGINT, // ends connections, unlike SIGTERM, which waits for them
			Check:  func() error { return errors.Join(p.CheckPort(record.Port), p.clearStalePID()) },
		},
		Launcher: in.launcher,
		Ready:    c.ready,
		Grace:    20 * time.Second,
		Log:      p.Log,
	}
	if err := c.server.Start(ctx); err != nil {
		return nil, err
	}
	if err := c.bootstrap(ctx); err != nil {
		return nil, errors.Join(err, c.server.Stop(context.WithoutCancel(ctx)))
	}
	return c, nil
}

func (p *Provider) clusterFile() string { return filepath.Join(p.Dir, "cluster.json") }

// clusterRecord reads the record of the cluster, or makes one.
func (p *Provider) clusterRecord() (record clusterRecord, err error) {
	err = engine.Load(p.clusterFile(), &record)
	if errors.Is(err, fs.ErrNotExist) {
		record.Password = engine.Password()
		record.Port, err = p.FreePort()
	}
	return record, err
}

// prepare makes the cluster on disk if there is none, and writes the files
// that it reads at its start. It returns what is in them.
func (p *Provider) prepare(ctx context.Context, in installation, record *clusterRecord) (config string, err error) {
	ids, err := p.IDs()
	if err != nil {
		return "", err
	}
	if p.CheckPort(record.Port) != nil && len(ids) == 0 { // nobody has been told the port yet
		if record.Port, err = p.FreePort(); err != nil {
			return "", err
		}
	}
	if err := engine.Save(p.clusterFile(), record); err != nil {
		return "", err
	}
	if !p.made() {
		if err := p.initdb(ctx, in, record.Password); err != nil {
			return "", err
		}
	}
	return p.configure(in, record.Port)
}

// configure writes the configuration, and a certificate that is good for two
// years from now.
func (p *Provider) configure(in installation, port int) (config string, err error) {
	if err := p.User.MkdirAll(p.tlsDir()); err != nil {
		return "", err
	}
	if err := errors.Join(engine.Clean(p.tlsDir()), engine.Clean(p.dataDir())); err != nil {
		return "", err
	}
	cert, key, err := p.CA.WriteLeaf(p.tlsDir(), p.Names()...)
	if err != nil {
		return "", err
	}
	conf, hba := filepath.Join(p.dataDir(), "postgresql.conf"), filepath.Join(p.dataDir(), "pg_hba.conf")
	settings, rules := settings(in, p.Hosts(), port, cert, key), rules(p.Hosts())
	if err := engine.WriteFile(conf, []byte(settings), 0o600); err != nil {
		return "", err
	}
	if err := engine.WriteFile(hba, []byte(rules), 0o600); err != nil {
		return "", err
	}
	return settings + rules, p.User.Own(cert, key, conf, hba)
}

// rules say who may come from where: everybody from this machine, and apps
// from the networks that it is on, as those of containers are.
func rules(hosts []string) string {
	rules := "hostssl all all 127.0.0.1/32 scram-sha-256\n"
	if len(hosts) > 1 {
		rules += "host all " + superuser + " all reject\n" + "hostssl all all samenet scram-sha-256\n"
	}
	return rules
}

// clearStalePID removes the pid file of a killed server where PostgreSQL would
// take another process for it: one that has its number now, or its own remains
// that nobody has collected, as in a container without an init. A server's
// working directory is its data directory, and remains have none. Where the
// system cannot tell, PostgreSQL's own, more careful answer stands.
func (p *Provider) clearStalePID() error {
	file := filepath.Join(p.dataDir(), "postmaster.pid")
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	pid, _, _ := strings.Cut(string(data), "\n")
	process := filepath.Join("/proc", filepath.Base(pid))
	if _, err := os.Stat(process); err != nil {
		return nil
	}
	dir, err := os.Readlink(filepath.Join(process, "cwd"))
	if err == nil && dir != p.dataDir() || errors.Is(err, fs.ErrNotExist) {
		return os.Remove(file)
	}
	return nil
}

// superuserAt is how niwa logs in to the cluster here.
func (p *Provider) superuserAt(record clusterRecord) (*pgx.ConnConfig, error) {
	// Named explicitly, so that no PG* variable of niwa's environment matters.
	config, err := pgx.ParseConfig("host=127.0.0.1 dbname=postgres sslmode=disable passfile=/dev/null servicefile=/dev/null")
	if err != nil {
		return nil, errors.New("the environment of niwa holds a PG* variable that is not understood; unset it")
	}
	config.Port, config.User, config.Password = uint16(record.Port), superuser, record.Password
	config.TLSConfig = &tls.Config{RootCAs: p.Roots, ServerName: "127.0.0.1", MinVersion: tls.VersionTLS12}
	config.Fallbacks, config.RuntimeParams = nil, map[string]string{"application_name": "niwa"}
	config.ConnectTimeout = 5 * time.Second
	return config, nil
}

// bootstrap makes the cluster what this package relies on: nobody but the
// superuser enters its own databases, and every new database is born with
// statistics and with a public schema that its owner rules.
func (c *cluster) bootstrap(ctx context.Context) error {
	if _, err := c.look(ctx); err != nil {
		return err
	}
	statements := []string{
		"revoke connect, temporary on database postgres, template1 from public",
		"alter schema public owner to pg_database_owner",
		"revoke create on schema public from public",
	}
	if c.statements {
		statements = append(statements, "create extension if not exists pg_stat_statements")
	}
	return c.in(ctx, "template1", func(conn *pgx.Conn) error {
		for _, sql := range statements {
			if _, err := conn.Exec(ctx, sql); err != nil {
				return fmt.Errorf("prepare the cluster: %w", err)
			}
		}
		return listExtensions(ctx, conn)
	})
}

// listExtensions names, where pg:extensions looks for them, the extensions
// that the owner of a database can create: those that Heroku's list has and
// this installation too. It reads the one name, and on the essential plans the
// other.
func listExtensions(ctx context.Context, conn *pgx.Conn) error {
	heroku := strings.Fields(`btree_gin btree_gist citext cube dict_int fuzzystrmatch hstore intarray
		isn lo ltree pg_stat_statements pg_trgm pgcrypto plpgsql seg tablefunc tcn tsm_system_rows
		tsm_system_time unaccent uuid-ossp`)
	var list string
	err := conn.QueryRow(ctx, "select coalesce(string_agg(name, ',' order by name), '') from pg_available_extensions where name = any($1)", heroku).Scan(&list)
	if err != nil {
		return err
	}
	for _, name := range []string{"extwlist.extensions", "rds.allowed_extensions"} {
		if err := do(ctx, conn, "alter role all set %s = %s", name, quote(list)); err != nil {
			return err
		}
	}
	return nil
}
