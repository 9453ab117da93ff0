import { readFile } from 'node:fs/promises';

import pg from 'pg';

import { ApiError, emailTaken, Unavailable } from './errors.js';
import { log } from './observe.js';

// Ids and versions are numbers here: the sequence reaches 2^53 in no lifetime.
pg.types.setTypeParser(pg.types.builtins.INT8, Number);

const CONNECT_WITHIN = 3000; // ms

// connection is where a URL leads. Heroku's servers sign their own certificates,
// and its URLs say nothing of TLS: where they do not, and NODE_ENV is
// production, as it is in a dyno, there is TLS to whoever answers.
// https://devcenter.heroku.com/articles/connecting-heroku-postgres
function connection(text) {
  if (!/^postgres(ql)?:\/\//.test(text)) throw new Error('DATABASE_URL is not a postgres:// URL');
  const url = new URL(text);
  url.searchParams.set('uselibpqcompat', 'true'); // sslmode says what it says to other clients
  if (!url.searchParams.has('sslmode')) url.searchParams.set('sslmode', process.env.NODE_ENV === 'production' ? 'require' : 'disable');
  return { connectionString: url.href, connectionTimeoutMillis: CONNECT_WITHIN };
}

// Database is Postgres. All its failures are an Unavailable, but for the one
// that is the client's: an email that is taken.
export class Database {
  constructor(url, connections) {
    this.connection = connection(url);
    this.pool = new pg.Pool({
      ...this.connection,
      max: connections,
      connectionTimeoutMillis: 5000, // and waiting for one of the others
      statement_timeout: 5000,
      query_timeout: 7000, // where Postgres does not even say that
      keepAlive: true,
    });
    this.pool.on('error', (error) => log.warn({ error: error.message }, 'a connection to Postgres is lost'));
    // One that is lost while a transaction holds it fails its next query.
    this.pool.on('connect', (client) => client.on('error', () => {}));
  }

  // query asks one thing, and returns the rows.
  query(text, values) {
    return rows(this.pool.query(text, values));
  }

  // transaction does all of a work or nothing. The work is given a query like
  // the one above.
  async transaction(work) {
    const client = await this.pool.connect().catch(fail);
    const query = (text, values) => rows(client.query(text, values));
    let reusable = false;
    try {
      await query('BEGIN');
      const result = await work(query);
      await query('COMMIT');
      reusable = true;
      return result;
    } catch (error) {
      if (error instanceof ApiError) {
        reusable = await query('ROLLBACK').then(() => true, () => false);
      }
      throw error;
    } finally {
      client.release(!reusable);
    }
  }

  // alone opens a connection beside the pool.
  async alone() {
    const client = new pg.Client({ ...this.connection, query_timeout: 10_000 });
    client.on('error', () => {}); // its next query fails
    await client.connect();
    return client;
  }
}

async function rows(result) {
  return (await result.catch(fail)).rows;
}

function fail(error) {
  throw error.constraint === 'users_email' ? emailTaken() : new Unavailable(error);
}

// runScript runs a script of this folder, any number of times: all of it or
// nothing, since what is sent as one is one transaction.
export async function runScript(url, name) {
  const client = new pg.Client(connection(url));
  await client.connect();
  await client.query(await readFile(new URL(name, import.meta.url), 'utf8'));
  await client.end();
}
