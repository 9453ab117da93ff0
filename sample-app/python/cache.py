import json
import os
import secrets
import time
from dataclasses import dataclass

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from sqlalchemy import Connection, text

import database
from observe import log

# What X-Cache says.
HIT = "hit"  # from Redis
MISS = "miss"  # from Postgres: Redis had nothing to believe
BYPASS = "bypass"  # from Postgres: Redis did not answer

EPOCH_TRUST = 0.5  # seconds
ANSWER_WITHIN = 0.1  # seconds
ENTRY_TTL = 60_000  # ms
LEASE_TTL = 2000  # ms

# Writes an entry if the lease for it is still there.
PUT = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
redis.call('DEL', KEYS[1])
return 1"""


@dataclass
class Look:
    """What a look into the cache found."""

    id: int
    how: str
    user: dict | None = None  # of a hit
    lease: str | None = None  # of a miss, for the one reader that is to fill
    epoch: str = ""
    life: str = ""


class Cache:
    """Keeps users in Redis before Postgres, for speed alone: no read that begins after a change was acknowledged shows
    what was before it, whatever becomes of Redis. The README of the folder above tells why.

    - An entry says in which epoch and in which life of the server it was made. Only those of this epoch and this life
      are believed, so that a server that comes back with what it once saved has nothing.
    - A reader that fills the cache takes a lease first, and then holds a lock on the row. A writer, which has the row
      for itself, deletes entry and lease before it commits: what was read before can no longer be put.
    - Where Redis does not say that it has deleted, the writer's transaction begins a new epoch, and the change is
      acknowledged only when nobody trusts the old one any more.

    Reads use a credential that may be unable to write. Without REDIS_URL there is no cache, and every look is a bypass.
    """

    def __init__(self):
        self.reader = self.writer = None
        self.known = ("", float("-inf"))  # the epoch, and when Postgres was asked: replaced together
        if os.environ.get("REDIS_URL"):
            apart = bool(os.environ.get("REDIS_READER_URL"))
            connections = 8 // database.PROCESSES // (2 if apart else 1)
            self.writer = connect("REDIS_URL", connections)
            self.reader = connect("REDIS_READER_URL", connections) if apart else self.writer
            self.put = self.writer.register_script(PUT)

    def look(self, id: int) -> Look:
        """Looks for a user. It fails only without Postgres, which has the epoch."""
        if not self.reader:
            return Look(id, BYPASS)
        epoch = self._current_epoch()
        try:
            life, found = ask(self.reader, "GET", entry_key(id))
        except redis.RedisError as error:
            log.warning("the cache does not answer", extra={"fields": {"error": str(error)}})
            return Look(id, BYPASS)
        match parse(found):
            case {"epoch": when, "life": where, "user": {"id": who} as user} if (when, where, who) == (epoch, life, id):
                return Look(id, HIT, user)
        token = secrets.token_hex()
        try:
            life, leased = ask(self.writer, "SET", lease_key(id), token, "NX", "PX", LEASE_TTL)
        except redis.RedisError:
            return Look(id, MISS)
        return Look(id, MISS, lease=token if leased is True else None, epoch=epoch, life=life)

    def _current_epoch(self) -> str:
        """The one that is, or was less than EPOCH_TRUST ago."""
        now = time.monotonic()  # before Postgres is asked, not when it answers
        epoch, asked = self.known
        if now - asked >= EPOCH_TRUST:
            epoch = database.read("SELECT epoch::text FROM cache_epoch")[0]["epoch"]
            self.known = (epoch, now)
        return epoch

    def fill(self, look: Look, user: dict) -> None:
        """Puts in what was read from Postgres after a look that got the lease, while the row is locked."""
        entry = json.dumps({"epoch": look.epoch, "life": look.life, "user": user})
        try:
            self.put([lease_key(look.id), entry_key(look.id)], [look.lease, entry, ENTRY_TTL])
        except redis.RedisError as error:
            log.warning("the cache was not filled", extra={"fields": {"user": look.id, "error": str(error)}})

    def forget(self, tx: Connection, id: int) -> bool:
        """Deletes a user from the cache, before tx commits its change. If Redis cannot be told, the commit begins a new
        epoch; then the change may be acknowledged only EPOCH_TRUST after it."""
        if not self.writer:
            return True
        try:
            self.writer.delete(entry_key(id), lease_key(id))
            return True
        except redis.RedisError as error:
            fields = {"user": id, "error": str(error)}
            log.warning("the cache cannot be told to forget; a new epoch begins", extra={"fields": fields})
            tx.execute(text("UPDATE cache_epoch SET epoch = gen_random_uuid()"))
            return False

    def state(self) -> str:
        """off, ok or down."""
        if not self.reader:
            return "off"
        try:
            self.reader.ping()
            self.writer.ping()
        except redis.RedisError:
            return "down"
        return "ok"


def connect(variable: str, connections: int) -> redis.Redis:
    """A few connections that the threads share. What is not answered in time fails: Postgres answers sooner than a
    second try."""
    url = os.environ[variable]
    if not url.startswith(("redis://", "rediss://")):
        raise SystemExit(f"{variable} is not a redis:// or rediss:// URL")
    # Heroku's servers have certificates that they signed themselves; its manual
    # says not to verify them, so TLS hides the traffic and the password tells
    # friend from foe.
    # https://devcenter.heroku.com/articles/connecting-heroku-redis
    tls = {"ssl_cert_reqs": "none", "ssl_check_hostname": False} if url.startswith("rediss:") else {}
    pool = redis.BlockingConnectionPool.from_url(
        url,
        max_connections=connections,
        timeout=ANSWER_WITHIN,
        socket_connect_timeout=ANSWER_WITHIN,
        socket_timeout=ANSWER_WITHIN,
        retry=Retry(NoBackoff(), 0),
        driver_info=None,
        **tls,
    )
    return redis.Redis.from_pool(pool)


def ask(client: redis.Redis, *command) -> tuple[str, object]:
    """Sends a command and the question which life of the server answers it, on one connection. A server that refuses
    has answered."""
    pipe = client.pipeline(transaction=False).info("server").execute_command(*command)
    info, answer = pipe.execute(raise_on_error=False)
    return info.get("run_id", "") if isinstance(info, dict) else "", answer


def parse(found: object) -> object:
    try:
        return json.loads(found)
    except (TypeError, ValueError, RecursionError):
        return None  # nothing there, or rubbish


def entry_key(id: int) -> str:
    return f"user:{id}"


def lease_key(id: int) -> str:
    return f"lease:{id}"
