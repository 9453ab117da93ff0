import { setTimeout as pause } from 'node:timers/promises';

import { log, requestOf } from './observe.js';

const POLL_EVERY = 200; // ms
const RETRY_EVERY = 1000; // ms

// Outbox holds the events that Kafka does not have yet. A change writes its
// event in its own transaction, so that there is one for each change that was
// made and none for those that were not; publish gives them to Kafka, whenever
// that is there. Without Kafka no event is written.
export class Outbox {
  constructor(database, kafka) {
    Object.assign(this, { database, kafka });
  }

  // add writes an event that is there when the transaction commits.
  async add(query, type, user) {
    if (!this.kafka) return;
    const { id, traceparent } = requestOf();
    await query('INSERT INTO outbox (type, user_id, user_json, traceparent, request_id) VALUES ($1, $2, $3, $4, $5)',
      [type, user.id, JSON.stringify(user), traceparent, id]);
  }

  // length is how many events wait.
  async length() {
    const [{ count }] = await this.database.query('SELECT count(*) FROM outbox');
    return count;
  }

  // publish gives events to Kafka until it is told to stop, in one process at
  // a time.
  async publish(signal) {
    while (this.kafka && !signal.aborted) {
      await this.#publish(signal).catch((error) => {
        if (!signal.aborted) log.warn({ error: error.message }, 'events stay in the outbox for now');
      });
      await pause(RETRY_EVERY, null, { signal }).catch(() => {});
    }
  }

  // #publish publishes until something fails. The lock that makes this process
  // the one is its connection's, and goes with it.
  async #publish(signal) {
    const client = await this.database.alone();
    const producer = this.kafka.producer();
    try {
      const { rows: [{ locked }] } = await client.query(`SELECT pg_try_advisory_lock(hashtext('outbox')) AS locked`);
      if (!locked) return;
      await producer.connect();
      while (!signal.aborted) {
        if (!(await this.#publishSome(client, producer, signal))) await pause(POLL_EVERY);
      }
    } finally {
      await Promise.allSettled([client.end(), producer.disconnect()]);
    }
  }

  // #publishSome publishes the oldest events, each after the one before it has
  // been acknowledged and removed. Should it die in between, that one is
  // published again.
  async #publishSome(client, producer, signal) {
    const { rows } = await client.query(`SELECT id, type, user_json, request_id, user_id, traceparent,
      to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS at FROM outbox ORDER BY id LIMIT 100`);
    for (const { id, type, user_json, request_id, user_id, traceparent, at } of rows) {
      if (signal.aborted) break;
      const value = JSON.stringify({ id, type, user: JSON.parse(user_json), request_id, at });
      await this.kafka.send(producer, { key: String(user_id), value, headers: { type, traceparent } });
      await client.query('DELETE FROM outbox WHERE id = $1', [id]);
    }
    return rows.length;
  }
}
