package postgres

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/google/renameio/v2"
	"github.com/jackc/pgx/v5"

	"niwa/addons/engine"
)

// superuser administers the cluster; its password never leaves this machine's
// file of it and the server.
const superuser = "postgres"

// cluster is the running server.
type cluster struct {
	installation
	server   *engine.Server
	port     int
	password string // of the superuser
	roots    *x509.CertPool
}

// settings of the cluster that have to stay the same over restarts.
type clusterRecord struct {
	Port     int    `json:"port"` // apps have it in their config vars
	Password string `json:"password"`
}

func (p *Provider) start(ctx context.Context) (*cluster, error) {
	if err := p.user.CheckReach(p.dataDir()); err != nil {
		return nil, err
	}
	installed, err := p.install(ctx)
	if err != nil {
		return nil, err
	}
	record, err := p.prepare(ctx, installed)
	if err != nil {
		return nil, err
	}
	c := &cluster{installation: installed, port: record.Port, password: record.Password, roots: x509.NewCertPool()}
	ca, err := os.ReadFile(p.CA.CertFile())
	if err != nil {
		return nil, err
	}
	if !c.roots.AppendCertsFromPEM(ca) {
		return nil, fmt.Errorf("%s holds no certificate", p.CA.CertFile())
	}
	c.server = &engine.Server{
		ID:      "postgres",
		Procs:   p.Procs,
		LogFile: filepath.Join(p.Dir, "server.log"),
		Log:     p.Log,
		Command: func() (*exec.Cmd, error) { return p.command(c) },
		Ready:   c.ready,
		Signal:  syscall.SIGINT, // ends connections, unlike SIGTERM, which waits for them
		Grace:   20 * time.Second,
	}
	if err := c.server.Start(ctx); err != nil {
		return nil, err
	}
	if err := c.bootstrap(ctx); err != nil {
		return nil, errors.Join(err, c.server.Stop(context.WithoutCancel(ctx)))
	}
	return c, nil
}

// prepare makes the cluster on disk if there is none, and brings the files it
// reads at its start up to date.
func (p *Provider) prepare(ctx context.Context, in installation) (clusterRecord, error) {
	var record clusterRecord
	file := filepath.Join(p.Dir, "cluster.json")
	err := engine.Load(file, &record)
	if errors.Is(err, fs.ErrNotExist) {
		record = clusterRecord{Password: engine.Password()}
		if record.Port, err = engine.FreePort(); err != nil {
			return record, err
		}
		err = engine.Save(file, record)
	}
	if err != nil {
		return record, err
	}
	if _, err := os.Stat(p.dataDir()); errors.Is(err, fs.ErrNotExist) {
		if err := p.initdb(ctx, in, record.Password); err != nil {
			return record, err
		}
	}
	if engine.CheckPort(record.Port) != nil && !p.hasAddons() { // nobody has been told the port yet
		if record.Port, err = engine.FreePort(); err != nil {
			return record, err
		}
		if err := engine.Save(file, record); err != nil {
			return record, err
		}
	}
	return record, p.configure(in, record.Port)
}

// command makes the command of one run of the server.
func (p *Provider) command(c *cluster) (*exec.Cmd, error) {
	if err := engine.CheckPort(c.port); err != nil {
		return nil, err
	}
	if err := p.clearStalePID(); err != nil {
		return nil, err
	}
	return p.user.Command(p.dataDir(), c.Program("postgres"), "-D", p.dataDir()), nil
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

// configure writes the files that the server reads when it starts, with a
// certificate that is good for two years from now.
func (p *Provider) configure(in installation, port int) error {
	if err := p.user.MkdirAll(p.tlsDir()); err != nil {
		return err
	}
	cert, key, err := p.CA.WriteLeaf(p.tlsDir())
	if err != nil {
		return err
	}
	conf, hba := filepath.Join(p.dataDir(), "postgresql.conf"), filepath.Join(p.dataDir(), "pg_hba.conf")
	if err := renameio.WriteFile(conf, []byte(settings(in, port, cert, key)), 0o600); err != nil {
		return err
	}
	if err := renameio.WriteFile(hba, []byte("hostssl all all 127.0.0.1/32 scram-sha-256\n"), 0o600); err != nil {
		return err
	}
	return p.user.Own(cert, key, conf, hba)
}

// connect opens a connection as the superuser. A server that is coming back
// from a crash is waited for.
func (c *cluster) connect(ctx context.Context, database string) (*pgx.Conn, error) {
	for {
		conn, err := c.dial(ctx, database)
		if err == nil || !isTransient(err) {
			return conn, err
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return nil, err
		}
		if err := c.server.Await(ctx); err != nil {
			return nil, err
		}
	}
}

func (c *cluster) dial(ctx context.Context, database string) (*pgx.Conn, error) {
	// Named explicitly, so that no PG* variable of niwa's environment matters.
	config, err := pgx.ParseConfig("host=127.0.0.1 sslmode=disable passfile=/dev/null servicefile=/dev/null")
	if err != nil {
		return nil, errors.New("the environment of niwa holds a PG* variable that is not understood; unset it")
	}
	config.Port, config.User, config.Password, config.Database = uint16(c.port), superuser, c.password, database
	config.TLSConfig = &tls.Config{RootCAs: c.roots, ServerName: "127.0.0.1", MinVersion: tls.VersionTLS12}
	config.Fallbacks, config.RuntimeParams = nil, map[string]string{"application_name": "niwa"}
	config.ConnectTimeout = 5 * time.Second
	return pgx.ConnectConfig(ctx, config)
}

func (c *cluster) ready(ctx context.Context) error {
	conn, err := c.dial(ctx, "postgres")
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}
