import { randomUUID } from 'node:crypto';

import { Redis, ReplyError } from 'ioredis';

import { log } from './observe.js';

// What X-Cache says.
export const HIT = 'hit'; // from Redis
export const MISS = 'miss'; // from Postgres: Redis had nothing to believe
export const BYPASS = 'bypass'; // from Postgres: Redis did not answer

// In ms.
export const EPOCH_TRUST = 500;
const ANSWER_WITHIN = 100;
const ENTRY_TTL = 60_000;
const LEASE_TTL = 2000;

// Writes an entry if the lease for it is still there.
const PUT = `
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
redis.call('DEL', KEYS[1])
return 1`;

const entryKey = (id) => `user:${id}`;
const leaseKey = (id) => `lease:${id}`;

// Cache keeps users in Redis before Postgres, for speed alone: no read that
// begins after a change was acknowledged shows what was before it, whatever
// becomes of Redis. The README of the folder above tells why.
//
// - An entry says in which epoch and in which life of the server it was made.
//   Only those of this epoch and this life are believed, so that a server that
//   comes back with what it once saved has nothing.
// - A reader that fills the cache takes a lease first, and then holds a lock on
//   the row. A writer, which has the row for itself, deletes entry and lease
//   before it commits: what was read before can no longer be put.
// - Where Redis does not say that it has deleted, the writer's transaction
//   begins a new epoch, and the change is acknowledged only when nobody trusts
//   the old one any more.
//
// Reads use a credential that may be unable to write. Without REDIS_URL there
// is no cache, and every look is a bypass.
export class Cache {
  #database;
  #read;
  #write;
  #epoch = { id: '', asked: -Infinity };

  constructor(database) {
    this.#database = database;
    const { REDIS_URL, REDIS_READER_URL } = process.env;
    if (!REDIS_URL) return;
    this.#write = connect('REDIS_URL');
    this.#read = REDIS_READER_URL ? connect('REDIS_READER_URL') : this.#write;
  }

  // look looks for a user. It fails only without Postgres, which has the epoch.
  async look(id) {
    if (!this.#read) return { how: BYPASS };
    const epoch = await this.#currentEpoch();
    try {
      const { life, answer } = await ask(this.#read, 'get', entryKey(id));
      const entry = parse(answer);
      if (entry?.epoch === epoch && entry.life === life && entry.user?.id === Number(id)) return { how: HIT, user: entry.user };
    } catch (error) {
      log.warn({ error: error.message }, 'the cache does not answer');
      return { how: BYPASS };
    }
    const token = randomUUID();
    try {
      const { life, answer } = await ask(this.#write, 'set', leaseKey(id), token, 'PX', LEASE_TTL, 'NX');
      return { how: MISS, lease: answer === 'OK' && token, epoch, life };
    } catch {
      return { how: MISS };
    }
  }

  // fill puts in what was read from Postgres after a look that got the lease,
  // while the row is locked.
  async fill({ lease, epoch, life }, user) {
    try {
      await this.#write.putEntry(leaseKey(user.id), entryKey(user.id), lease, JSON.stringify({ epoch, life, user }), ENTRY_TTL);
    } catch (error) {
      log.warn({ user: user.id, error: error.message }, 'the cache was not filled');
    }
  }

  // forget deletes a user from the cache, before the transaction commits its
  // change. If Redis cannot be told, the commit begins a new epoch; then the
  // change may be acknowledged only EPOCH_TRUST after it.
  async forget(query, id) {
    if (!this.#write) return true;
    try {
      await this.#write.del(entryKey(id), leaseKey(id));
      return true;
    } catch (error) {
      log.warn({ user: id, error: error.message }, 'the cache cannot be told to forget; a new epoch begins');
      await query('UPDATE cache_epoch SET epoch = gen_random_uuid()');
      return false;
    }
  }

  // #currentEpoch is the one that is, or was less than EPOCH_TRUST ago.
  async #currentEpoch() {
    const asked = performance.now(); // when Postgres was asked, not when it answered
    if (asked - this.#epoch.asked >= EPOCH_TRUST) {
      const [{ epoch: id }] = await this.#database.query('SELECT epoch FROM cache_epoch');
      if (asked > this.#epoch.asked) this.#epoch = { id, asked };
      return id;
    }
    return this.#epoch.id;
  }

  // state is off, ok or down.
  async state() {
    if (!this.#read) return 'off';
    return Promise.all([this.#read.ping(), this.#write.ping()]).then(() => 'ok', () => 'down');
  }
}

// connect opens the one connection that all requests share. A command that is
// not answered in time, or cannot be sent at once, fails: Postgres answers
// sooner than a second try.
function connect(variable) {
  const url = process.env[variable];
  if (!/^rediss?:\/\//.test(url)) throw new Error(`${variable} is not a redis:// or rediss:// URL`);
  const client = new Redis(url, {
    // Heroku's servers have certificates that they signed themselves; its
    // manual says not to verify them, so TLS hides the traffic and the
    // password tells friend from foe.
    // https://devcenter.heroku.com/articles/connecting-heroku-redis
    ...(url.startsWith('rediss:') && { tls: { rejectUnauthorized: false } }),
    commandTimeout: ANSWER_WITHIN,
    socketTimeout: 1000, // then another connection is tried
    connectTimeout: 1000,
    retryStrategy: () => ANSWER_WITHIN,
    maxRetriesPerRequest: 0,
    enableOfflineQueue: false,
    enableReadyCheck: false,
    autoResendUnfulfilledCommands: false,
    scripts: { putEntry: { lua: PUT, numberOfKeys: 2 } },
  });
  return client.on('error', (error) => log.debug({ error: error.message }, `the connection of ${variable}`));
}

// ask sends a command and the question which life of the server answers it, on
// one connection. A server that refuses has answered.
async function ask(client, ...command) {
  const [[infoError, info], [error, answer]] = await client.pipeline([['info', 'server'], command]).exec();
  for (const failure of [infoError, error]) {
    if (failure && !(failure instanceof ReplyError)) throw failure;
  }
  return { life: /^run_id:(\w*)/m.exec(info)?.[1] ?? '', answer };
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null; // rubbish
  }
}
