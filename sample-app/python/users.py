import re
import time
from datetime import datetime

import cache
import database
from errors import invalid, not_found, stale
from outbox import Outbox

COLUMNS = "id, name, email, version, created_at, updated_at"

# What str.strip takes away, but for the control characters among it that
# Unicode does not call white space.
WHITE_SPACE = "".join(c for c in map(chr, range(0x3001)) if c.isspace() and c not in "\x1c\x1d\x1e\x1f")
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
ATOM = r'[^\s\x00-\x1f\x7f-\x9f@"(),.:;<>\[\\\]]+'
EMAIL = re.compile(rf"{ATOM}(\.{ATOM})*@{ATOM}(\.{ATOM})*")


def clean(name: str, email: str) -> dict:
    """Returns the two as they are stored, or raises what is wrong with them."""
    name, email = name.strip(WHITE_SPACE), email.strip(WHITE_SPACE)
    if not name:
        raise invalid("name is required")
    if len(name) > 100:
        raise invalid("name is longer than 100 characters")
    if CONTROL.search(name):
        raise invalid("name holds a control character")
    if not email:
        raise invalid("email is required")
    if not EMAIL.fullmatch(email) or len(email.encode()) > 254:
        raise invalid("email is not an address like user@example.com")
    return {"name": name, "email": email}


def contains(text: str) -> str:
    """The LIKE pattern of what holds a text."""
    return "%" + re.sub(r"([\\%_])", r"\\\1", text) + "%"


class Users:
    """The one place that changes users, so that no change forgets the cache or its event."""

    def __init__(self, cache: cache.Cache, outbox: Outbox):
        self.cache, self.outbox = cache, outbox

    def create(self, name: str, email: str) -> dict:
        """Adds a user. The cache cannot know of it yet."""
        with database.transaction() as tx:
            sql = f"INSERT INTO users (name, email) VALUES (:name, :email) RETURNING {COLUMNS}"
            user = one(database.query(tx, sql, name=name, email=email))
            self.outbox.add(tx, "user.created", user)
        return user

    def get(self, look: cache.Look) -> dict:
        """Reads the user of a look into the cache, which can be believed, or else from Postgres."""
        if look.how == cache.HIT:
            return look.user
        sql = f"SELECT {COLUMNS} FROM users WHERE id = :id"
        if not look.lease:
            return one(database.read(sql, id=look.id))
        # The row stays as it is until the cache has it, and waits for who is
        # changing it.
        with database.transaction() as tx:
            user = one(database.query(tx, f"{sql} FOR SHARE", id=look.id))
            self.cache.fill(look, user)
        return user

    def list(self, after: int, limit: int, text: str) -> list[dict]:
        """Up to limit users after an id whose name or email holds the text, in the order they were created. A list is
        never cached: it would have to be forgotten with every change of any user."""
        sql = f"""SELECT {COLUMNS} FROM users
            WHERE id > :after AND (name ILIKE :text OR email ILIKE :text) ORDER BY id LIMIT :limit"""
        return [shown(row) for row in database.read(sql, after=after, limit=limit, text=contains(text))]

    def update(self, id: int, match: int | None, name: str, email: str) -> dict:
        """Replaces a user. match is the version it must have, or None for any."""
        sql = f"""UPDATE users SET name = :name, email = :email, version = version + 1, updated_at = now()
            WHERE id = :id RETURNING {COLUMNS}"""
        return self._change(id, match, "user.updated", sql, name=name, email=email)

    def delete(self, id: int, match: int | None) -> None:
        """Removes a user. match is the version it must have, or None for any."""
        self._change(id, match, "user.deleted", f"DELETE FROM users WHERE id = :id RETURNING {COLUMNS}")

    def _change(self, id: int, match: int | None, kind: str, sql: str, **values) -> dict:
        """Runs a statement on one user, writes its event, and makes the cache forget the user."""
        with database.transaction() as tx:
            old = one(database.query(tx, f"SELECT {COLUMNS} FROM users WHERE id = :id FOR UPDATE", id=id))
            if match not in (None, old["version"]):
                raise stale()
            user = one(database.query(tx, sql, id=id, **values))
            self.outbox.add(tx, kind, user)
            told = self.cache.forget(tx, id)
        if not told:
            time.sleep(cache.EPOCH_TRUST)
        return user


def one(rows: list[dict]) -> dict:
    if not rows:
        raise not_found()
    return shown(rows[0])


def shown(row: dict) -> dict:
    return {name: utc(value) if isinstance(value, datetime) else value for name, value in row.items()}


def utc(when: datetime) -> str:
    return when.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def ping() -> None:
    """Fails unless Postgres answers and has the schema."""
    database.read("SELECT 1 FROM users LIMIT 1")
