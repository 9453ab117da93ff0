import { setTimeout as pause } from 'node:timers/promises';

import { BYPASS, EPOCH_TRUST, HIT } from './cache.js';
import { notFound, stale, invalid } from './errors.js';

// In UTC, and as exact as Postgres has them: a Date has milliseconds.
const time = (column) => `to_char(${column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS ${column}`;
const COLUMNS = `id, name, email, version, ${time('created_at')}, ${time('updated_at')}`;

const SPACE_AROUND = /^\p{White_Space}+|(?<!\p{White_Space})\p{White_Space}+$/gu;
const ATOM = String.raw`[^\p{Z}\p{Cc}@"(),.:;<>[\\\]]+`;
const EMAIL = new RegExp(`^${ATOM}(\\.${ATOM})*@${ATOM}(\\.${ATOM})*$`, 'u');

// clean returns a name and an email as they are stored, or throws what is wrong
// with them.
export function clean(input) {
  const [name, email] = [input.name, input.email].map((text) => (text ?? '').replace(SPACE_AROUND, ''));
  if (name === '') throw invalid('name is required');
  if ([...name].length > 100) throw invalid('name is longer than 100 characters');
  if (/\p{Cc}/u.test(name)) throw invalid('name holds a control character');
  if (email === '') throw invalid('email is required');
  if (!EMAIL.test(email) || Buffer.byteLength(email) > 254) throw invalid('email is not an address like user@example.com');
  return { name, email };
}

// contains is the LIKE pattern of what holds a text.
export const contains = (text) => `%${text.replace(/[\\%_]/g, '\\$&')}%`;

// Users is the one place that changes users, so that no change forgets the
// cache or its event.
export class Users {
  constructor(database, cache, outbox) {
    Object.assign(this, { database, cache, outbox });
  }

  // create adds a user. The cache cannot know of it yet.
  create({ name, email }) {
    return this.database.transaction(async (query) => {
      const user = one(await query(`INSERT INTO users (name, email) VALUES ($1, $2) RETURNING ${COLUMNS}`, [name, email]));
      await this.outbox.add(query, 'user.created', user);
      return user;
    });
  }

  // get reads a user, from the cache where that can be believed and else from
  // Postgres. told is called with where it comes from: hit, miss or bypass.
  async get(id, told) {
    const look = await this.cache.look(id);
    told(look.how);
    if (look.how === HIT) return look.user;
    const select = `SELECT ${COLUMNS} FROM users WHERE id = $1`;
    if (look.how === BYPASS || !look.lease) return one(await this.database.query(select, [id]));
    // The row stays as it is until the cache has it, and waits for who is
    // changing it.
    return this.database.transaction(async (query) => {
      const user = one(await query(`${select} FOR SHARE`, [id]));
      await this.cache.fill(look, user);
      return user;
    });
  }

  // list returns up to limit users after an id whose name or email holds the
  // text, in the order they were created. A list is never cached: it would
  // have to be forgotten with every change of any user.
  list(after, limit, text) {
    return this.database.query(
      `SELECT ${COLUMNS} FROM users WHERE id > $1 AND (name ILIKE $2 OR email ILIKE $2) ORDER BY id LIMIT $3`,
      [after, contains(text), limit],
    );
  }

  // update replaces a user. match is the version it must have, or null for any.
  update(id, match, { name, email }) {
    return this.#change(id, match, 'user.updated',
      `UPDATE users SET name = $2, email = $3, version = version + 1, updated_at = now() WHERE id = $1 RETURNING ${COLUMNS}`, name, email);
  }

  // delete removes a user. match is the version it must have, or null for any.
  async delete(id, match) {
    await this.#change(id, match, 'user.deleted', `DELETE FROM users WHERE id = $1 RETURNING ${COLUMNS}`);
  }

  // #change runs a statement on one user, writes its event, and makes the cache
  // forget the user.
  async #change(id, match, type, statement, ...values) {
    let told;
    const user = await this.database.transaction(async (query) => {
      const { version } = one(await query('SELECT version FROM users WHERE id = $1 FOR UPDATE', [id]));
      if (match !== null && match !== String(version)) throw stale();
      const user = one(await query(statement, [id, ...values]));
      await this.outbox.add(query, type, user);
      told = await this.cache.forget(query, id);
      return user;
    });
    if (!told) await pause(EPOCH_TRUST + 1); // timers may be early by less
    return user;
  }

  // ping fails unless Postgres answers and has the schema.
  ping() {
    return this.database.query('SELECT FROM users LIMIT 0');
  }
}

function one([user]) {
  if (!user) throw notFound();
  return user;
}
