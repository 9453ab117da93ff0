import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import IntegrityError

from errors import email_taken

# What an essential-0 database and a mini cache give is for the dyno, whose
# processes share it: at most 9 connections to Postgres, one of them each
# process's for the outbox, and 8 to Redis.
PROCESSES = max(1, min(4, int(os.environ.get("WEB_CONCURRENCY") or 1)))

URL = os.environ.get("DATABASE_URL")
if not URL:
    raise SystemExit("DATABASE_URL is not set; attach a database (heroku addons:create heroku-postgresql)")


def connect(**options) -> psycopg.Connection:
    """Opens a connection. Where the other side has gone without a word, that is found out within seconds."""
    return psycopg.connect(
        URL,
        connect_timeout=3,
        options="-c statement_timeout=5s -c timezone=UTC",
        tcp_user_timeout=7000,
        keepalives_idle=5,
        keepalives_interval=1,
        keepalives_count=2,
        **options,
    )


# The pool connects where a request needs it, so that a request knows at once
# that Postgres is away.
engine = create_engine(
    "postgresql+psycopg://", creator=connect, pool_size=9 // PROCESSES - 1, max_overflow=0, pool_timeout=5
)
reads = engine.execution_options(isolation_level="AUTOCOMMIT")


@contextmanager
def transaction() -> Iterator[Connection]:
    """Does all of a block or nothing. Of what Postgres refuses, one thing is the client's fault."""
    try:
        with engine.begin() as tx:
            yield tx
    except IntegrityError as error:
        if error.orig.diag.constraint_name == "users_email":
            raise email_taken() from None
        raise


def query(connection: Connection, sql: str, **values) -> list[dict]:
    return [dict(row) for row in connection.execute(text(sql), values).mappings()]


def read(sql: str, **values) -> list[dict]:
    with reads.connect() as connection:
        return query(connection, sql, **values)


def run_script(name: str) -> None:
    """Runs a script of this folder, any number of times: all of it or nothing, since what is sent as one is one
    transaction."""
    with psycopg.connect(URL, autocommit=True) as connection:
        connection.execute(Path(__file__).with_name(name).read_bytes())
