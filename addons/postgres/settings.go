package postgres

import (
	"fmt"
	"strings"
)

// maxConnections is as many as the largest plan allows, and some for niwa.
const maxConnections = 520

// settings is the whole postgresql.conf. Memory is kept small, because the
// server shares a laptop; durability is not traded for speed. Statements are
// not logged: they may hold secrets.
func settings(in installation, hosts []string, port int, cert, key string) string {
	lines := []string{
		"# Written by niwa at each start.",
		"listen_addresses = " + quote(strings.Join(hosts, ",")),
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
		"dynamic_shared_memory_type = 'mmap'", // in the data directory, and not where a killed server leaves it for ever
		"log_destination = 'stderr'",
		"logging_collector = off",
		"log_min_messages = log",
		"log_min_error_statement = panic",
		"log_statement = 'none'",
		"log_timezone = 'UTC'",
		"timezone = 'UTC'",
		"datestyle = 'iso, mdy'",
	}
	if in.statements {
		lines = append(lines,
			"shared_preload_libraries = 'pg_stat_statements'",
			"pg_stat_statements.max = 1000",
			"pg_stat_statements.track_utility = off")
	}
	return strings.Join(lines, "\n") + "\n"
}
