#!/bin/sh
# What the public images do before their server starts, as far as it is relied
# on: PostgreSQL's makes a cluster whose superuser has $POSTGRES_PASSWORD.
set -eu
[ "$#" -gt 0 ] || set -- sh
if [ "$1" = postgres ] && [ "$(id -u)" = 0 ]; then
	mkdir -p "$PGDATA"
	chown postgres: "$PGDATA"
	chmod 700 "$PGDATA"
	if [ ! -e "$PGDATA/PG_VERSION" ]; then
		: "${POSTGRES_PASSWORD:?is not set}"
		printf '%s\n' "$POSTGRES_PASSWORD" >/tmp/password
		chown postgres: /tmp/password
		setpriv --reuid postgres --regid postgres --clear-groups \
			initdb -D "$PGDATA" -U postgres --pwfile /tmp/password --auth-host scram-sha-256 --auth-local trust
		rm /tmp/password
		printf "listen_addresses = '*'\n" >>"$PGDATA/postgresql.conf"
		printf 'host all all all scram-sha-256\n' >>"$PGDATA/pg_hba.conf"
	fi
	set -- setpriv --reuid postgres --regid postgres --clear-groups "$@"
elif [ "$1" = redis-server ] && [ "$(id -u)" = 0 ]; then
	chown redis: .
	set -- setpriv --reuid redis --regid redis --clear-groups "$@"
fi
exec "$@"
