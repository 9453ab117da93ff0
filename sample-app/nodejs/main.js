// Users is a web service that creates, reads, updates, deletes, lists and
// searches users. Postgres is the only truth; Redis, before it, makes reads
// fast and can never make them wrong.
//
//   node main.js           serve HTTP on $PORT
//   node main.js migrate   bring the schema up to date (the release phase)
//   node main.js seed      add users to look at (postdeploy)

import cluster from 'node:cluster';
import { createServer } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';

import { createApp } from './app.js';
import { Cache } from './cache.js';
import { Database, runScript } from './database.js';
import { kafkaFromEnv } from './kafka.js';
import { log } from './observe.js';
import { Outbox } from './outbox.js';
import { Users } from './users.js';

const STOP_WITHIN = 25_000; // ms; Heroku kills after 30 s
const KEEP_ALIVE = 90_000; // ms; longer than the router keeps connections

// What an essential-0 database and a mini cache give is for the dyno, whose
// processes share it: 8 connections to Postgres, and one more for the outbox;
// 8 to Redis, a reader and a writer of each process.
const CONNECTIONS = 8;
const MOST_PROCESSES = 4;

const stopping = new AbortController();

function main([command, ...more]) {
  const url = process.env.DATABASE_URL;
  if (!url) {
    throw new Error('DATABASE_URL is not set; attach a database (heroku addons:create heroku-postgresql)');
  }
  if (command === undefined) return serve(url);
  if (['migrate', 'seed'].includes(command) && more.length === 0) {
    return runScript(url, command === 'migrate' ? 'schema.sql' : 'seed.sql');
  }
  throw new Error(`there is no command ${[command, ...more].join(' ')}; use migrate or seed, or none to serve`);
}

// serve answers requests in as many processes as WEB_CONCURRENCY says. The
// first of them, which only watches over the others if there are any,
// publishes the events.
async function serve(url) {
  const processes = Math.min(Number.parseInt(process.env.WEB_CONCURRENCY, 10) || 1, MOST_PROCESSES);
  const database = new Database(url, Math.floor(CONNECTIONS / processes));
  const outbox = new Outbox(database, kafkaFromEnv());
  const stopped = [];
  process.on('SIGTERM', () => stopping.abort()).on('SIGINT', () => stopping.abort());
  if (cluster.isPrimary) stopped.push(outbox.publish(stopping.signal));
  if (cluster.isPrimary && processes > 1) {
    stopped.push(...Array.from({ length: processes }, work));
  } else {
    stopped.push(listen(createApp(new Users(database, new Cache(database), outbox))));
  }
  await Promise.all(stopped);
}

// work keeps up one process that answers requests, until this one stops.
async function work() {
  while (!stopping.signal.aborted) {
    const worker = cluster.fork();
    const stop = () => worker.process.kill('SIGTERM');
    stopping.signal.addEventListener('abort', stop);
    const [code, signal] = await new Promise((resolve) => worker.on('exit', (...how) => resolve(how)));
    stopping.signal.removeEventListener('abort', stop);
    if (stopping.signal.aborted) return;
    log.error({ code, signal }, 'a process has ended; another begins');
    await pause(1000);
  }
}

// listen answers requests until this process stops, and those under way after
// that.
function listen(app) {
  const server = createServer({ keepAliveTimeout: KEEP_ALIVE, requestTimeout: 30_000 }, app);
  const port = process.env.PORT || 5000;
  const connections = new Set();
  server.on('connection', (socket) => {
    connections.add(socket);
    socket.on('close', () => connections.delete(socket));
  });
  return new Promise((resolve, reject) => {
    server.on('error', reject).listen(port, () => log.info({ port }, 'serving'));
    stopping.signal.addEventListener('abort', () => {
      server.close(resolve);
      setInterval(() => {
        server.closeIdleConnections(); // but for those on which nobody has asked anything
        connections.forEach((socket) => socket.bytesRead || socket.destroy());
      }, 50);
      setTimeout(() => reject(new Error('requests take too long to stop')), STOP_WITHIN);
    });
  });
}

try {
  await main(process.argv.slice(2));
  process.exit(0);
} catch (error) {
  log.error({ error: error.message }, 'stopped');
  process.exit(1);
}
