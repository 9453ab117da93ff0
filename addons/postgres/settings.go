package postgres

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// maxConnections is as many as the largest plan allows, and some for niwa.
const maxConnections = 520

// settings is the whole postgresql.conf. Memory is kept small, because the
// server shares a laptop; durability is not traded for speed. Statements are
// not logged: they may hold secrets.
func settings(in installation, port int, cert, key string) string {
	lines := []string{
		"# Written by niwa at each start.",
		"listen_addresses = '127.0.0.1'",
		fmt.Sprintf("port = %d", port),
		"unix_socket_directories = ''", // a path to one may be longer than the system allows
		fmt.Sprintf("max_connections = %d", maxConnections),
		"superuser_reserved_connections = 10",
		"ssl = on",
		"ssl_cert_file = " + quote(cert),
		"ssl_key_file = " + quote(key),
		"ssl_min_protocol_version = 'TLSv1.2'",
		"password_encryption = 'scram-sha-256'",
		"shared_buffers = 16MB",
		"work_mem = 4MB",
		"maintenance_work_mem = 32MB",
		"max_wal_size = 256MB",
		"min_wal_size = 32MB",
		"wal_level = minimal",
		"max_wal_senders = 0",
		"max_worker_processes = 4",
		"max_parallel_workers_per_gather = 0",
		"jit = off",
		"fsync = on",
		"log_destination = 'stderr'",
		"logging_collector = off",
		"log_min_messages = log",
		"log_min_error_statement = panic",
		"log_statement = 'none'",
		"log_timezone = 'UTC'",
		"timezone = 'UTC'",
		"datestyle = 'iso, mdy'",
		// pg:extensions reads the one, and on the essential plans the other.
		"extwlist.extensions = " + quote(strings.Join(in.extensions(), ",")),
		"rds.allowed_extensions = " + quote(strings.Join(in.extensions(), ",")),
	}
	if in.hasStatements() {
		lines = append(lines,
			"shared_preload_libraries = 'pg_stat_statements'",
			"pg_stat_statements.max = 1000",
			"pg_stat_statements.track_utility = off")
	}
	return strings.Join(lines, "\n") + "\n"
}

// quote writes a string as postgresql.conf and SQL take it.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

func (in installation) hasStatements() bool {
	return in.hasExtension("pg_stat_statements")
}

func (in installation) hasExtension(name string) bool {
	_, err := os.Stat(filepath.Join(in.extensionDir(), name+".control"))
	return err == nil
}

// extensionDir is where the control files are: Debian has them under
// /usr/share/postgresql/15, others beside bin.
func (in installation) extensionDir() string {
	debian := fmt.Sprintf("/usr/share/postgresql/%d/extension", in.Major)
	for _, dir := range []string{
		filepath.Join(in.Bin, "../share/postgresql/extension"),
		filepath.Join(in.Bin, fmt.Sprintf("../share/postgresql@%d/extension", in.Major)),
		filepath.Join(in.Bin, "../share/extension"),
	} {
		if _, err := os.Stat(dir); err == nil {
			return dir
		}
	}
	return debian
}

// extensions are those that the owner of a database can create, as Heroku's
// list has them and this installation too.
func (in installation) extensions() []string {
	var have []string
	for _, name := range strings.Fields(`btree_gin btree_gist citext cube dict_int fuzzystrmatch hstore intarray
		isn lo ltree pg_stat_statements pg_trgm pgcrypto plpgsql seg tablefunc tcn tsm_system_rows
		tsm_system_time unaccent uuid-ossp`) {
		if in.hasExtension(name) {
			have = append(have, name)
		}
	}
	return have
}

// bootstrap makes the cluster what this package relies on: nobody but the
// superuser enters its own databases, and every new database is born with
// statistics and with a public schema that its owner rules.
func (c *cluster) bootstrap(ctx context.Context) error {
	conn, err := c.connect(ctx, "template1")
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	statements := []string{
		"revoke connect, temporary on database postgres, template1 from public",
		"alter schema public owner to pg_database_owner",
		"revoke create on schema public from public",
	}
	if c.hasStatements() {
		statements = append(statements, "create extension if not exists pg_stat_statements")
	}
	for _, sql := range statements {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return fmt.Errorf("prepare the cluster: %w", err)
		}
	}
	return conn.Close(ctx)
}
