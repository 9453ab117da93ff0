import json
import os
from threading import Event, Thread
from urllib.parse import urlsplit

import psycopg
from confluent_kafka import KafkaException, Producer
from flask import g
from psycopg.rows import dict_row
from sqlalchemy import Connection

import database
from observe import log

POLL_EVERY = 0.2  # seconds
RETRY_EVERY = 1  # second

OLDEST = """SELECT id, type, user_json, request_id, user_id, traceparent,
    to_char(at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS at FROM outbox ORDER BY id LIMIT 100"""


class Outbox:
    """Holds the events that Kafka does not have yet. A change writes its event in its own transaction, so that there
    is one for each change that was made and none for those that were not; a thread gives them to Kafka, whenever that
    is there. Without KAFKA_URL no event is written."""

    def __init__(self):
        self.kafka = kafka_from_env()
        self.topic = os.environ.get("KAFKA_PREFIX", "") + "users"
        self.stopping = Event()
        self.thread = Thread(target=self._publish, name="outbox", daemon=True)

    def add(self, tx: Connection, kind: str, user: dict) -> None:
        """Writes an event that is there when tx commits."""
        if not self.kafka:
            return
        sql = """INSERT INTO outbox (type, user_id, user_json, traceparent, request_id)
            VALUES (:type, :user_id, :user, :traceparent, :request_id) RETURNING id"""
        ids = {"traceparent": g.traceparent, "request_id": g.request_id}
        database.query(tx, sql, type=kind, user_id=user["id"], user=json.dumps(user), **ids)

    def length(self) -> float:
        """How many events wait; nobody knows without Postgres."""
        try:
            return database.read("SELECT count(*) FROM outbox")[0]["count"]
        except Exception as error:
            log.warning("the outbox cannot be counted", extra={"fields": {"error": type(error).__name__}})
            return float("nan")

    def start(self) -> None:
        if self.kafka:
            self.thread.start()

    def stop(self) -> None:
        self.stopping.set()
        if self.thread.is_alive():
            self.thread.join(2)  # what it has not said by then, another says again

    def _publish(self) -> None:
        """Gives events to Kafka until it is told to stop, in one process at a time."""
        while not self.stopping.is_set():
            try:
                self._publish_until_it_fails()
            except (psycopg.Error, KafkaException) as error:
                log.warning("events stay in the outbox for now", extra={"fields": {"error": str(error)}})
            self.stopping.wait(RETRY_EVERY)

    def _publish_until_it_fails(self) -> None:
        """The lock that makes this process the one is its connection's, and goes with it."""
        with database.connect(autocommit=True, row_factory=dict_row) as connection:
            if not connection.execute("SELECT pg_try_advisory_lock(hashtext('outbox')) AS got").fetchone()["got"]:
                return
            producer = Producer(self.kafka, logger=log)
            while not self.stopping.is_set():
                if not self._publish_some(connection, producer):
                    self.stopping.wait(POLL_EVERY)

    def _publish_some(self, connection: psycopg.Connection, producer: Producer) -> int:
        """Publishes the oldest events, each after the one before it has been acknowledged and removed. Should it die in
        between, that one is published again."""
        rows = connection.execute(OLDEST).fetchall()
        for row in rows:
            if self.stopping.is_set():
                break
            self._send(producer, row)
            connection.execute("DELETE FROM outbox WHERE id = %s", [row["id"]])
        return len(rows)

    def _send(self, producer: Producer, row: dict) -> None:
        value = {name: row[name] for name in ("id", "type", "request_id", "at")}
        value["user"] = json.loads(row["user_json"])
        headers = {"type": row["type"], "traceparent": row["traceparent"]}
        outcome = []
        producer.produce(
            self.topic,
            json.dumps(value),
            str(row["user_id"]),
            headers=headers,
            on_delivery=lambda error, message: outcome.append(error),
        )
        producer.flush()  # it ends: message.timeout.ms
        if outcome != [None]:
            raise KafkaException(*outcome)


def kafka_from_env() -> dict | None:
    """How to reach the brokers, as Heroku's variables tell it."""
    given = os.environ.get("KAFKA_URL")
    if not given:
        return None
    urls = [urlsplit(url.strip()) for url in given.split(",")]
    if not all(url.scheme in ("kafka", "kafka+ssl") and url.netloc for url in urls):
        raise SystemExit("KAFKA_URL is not a list of kafka:// or kafka+ssl:// URLs")
    config = {
        "bootstrap.servers": ",".join(url.netloc for url in urls),
        "client.id": "users",
        "acks": "all",
        "linger.ms": 0,
        "socket.nagle.disable": True,  # else each event takes 40 ms
        "message.timeout.ms": 10_000,
    }
    if any(url.scheme == "kafka+ssl" for url in urls):
        # The names in the brokers' certificates are not checked: Heroku's
        # brokers have certificates without the names they are reached by.
        # https://devcenter.heroku.com/articles/kafka-on-heroku
        config |= {
            "security.protocol": "ssl",
            "ssl.endpoint.identification.algorithm": "none",
            "ssl.ca.pem": os.environ["KAFKA_TRUSTED_CERT"],
            "ssl.certificate.pem": os.environ["KAFKA_CLIENT_CERT"],
            "ssl.key.pem": os.environ["KAFKA_CLIENT_CERT_KEY"],
        }
    return config
