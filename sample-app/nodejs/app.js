import { readFileSync } from 'node:fs';

import express from 'express';

import { answerError, ApiError, badRequest, invalid, notFound, nothingThere, stale } from './errors.js';
import { log, metricsOf, observe } from './observe.js';
import { clean } from './users.js';

const MAX_BODY = 64 * 1024; // bytes
const MAX_BIGINT = 2n ** 63n - 1n;
const page = readFileSync(new URL('page.html', import.meta.url));

// createApp is what answers HTTP.
export function createApp(users) {
  const app = express().disable('x-powered-by').disable('etag');
  const body = express.raw({ type: () => true, limit: MAX_BODY });

  app.use(observe);
  app.route('/').get((req, res) => res.type('html').send(page)).all(notAllowed);
  app.route('/metrics').get(metricsOf(users.outbox)).all(notAllowed);

  // Without Postgres this fails. Without the cache the app is merely slower.
  app.route('/health').get(async (req, res) => {
    const answer = { status: 'ok', postgres: 'ok', cache: await users.cache.state() };
    try {
      await users.ping();
    } catch (error) {
      log.warn({ error: error.message }, 'Postgres does not answer');
      Object.assign(answer, { status: 'failing', postgres: 'down' });
      res.status(503).set('Retry-After', '1');
    }
    res.json(answer);
  }).all(notAllowed);

  // The Link header of a list has the next page: it names the last id seen, so
  // that what is added meanwhile shifts nothing.
  app.route('/users').get(async (req, res) => {
    const { limit, after, text } = paging(req);
    const found = await users.list(after, limit + 1, text);
    const shown = found.slice(0, limit);
    if (found.length > limit) {
      const next = new URLSearchParams({ limit, after: shown.at(-1).id, ...(text && { q: text }) });
      res.set('Link', `</users?${next}>; rel="next"`);
    }
    res.json(shown);
  }).post(body, async (req, res) => {
    const user = await users.create(input(req));
    answerUser(res.status(201).location(`/users/${user.id}`), user);
  }).all(notAllowed);

  app.route('/users/:id').get(userId, async (req, res) => {
    answerUser(res, await users.get(res.locals.id, (how) => res.set('X-Cache', how)));
  }).put(userId, wantedVersion, body, async (req, res) => {
    answerUser(res, await users.update(res.locals.id, res.locals.match, input(req)));
  }).delete(userId, wantedVersion, async (req, res) => {
    await users.delete(res.locals.id, res.locals.match);
    res.status(204).end();
  }).all(notAllowed);

  app.use(() => {
    throw nothingThere();
  });
  app.use(answerError);
  return app;
}

// answerUser has an ETag, with which Express makes 304 of what the client has.
function answerUser(res, user) {
  res.set('ETag', `"${user.version}"`).json(user);
}

function notAllowed(req, res) {
  const methods = Object.keys(req.route.methods).filter((method) => method !== '_all');
  res.set('Allow', methods.join(', ').toUpperCase());
  throw new ApiError(405, 'method_not_allowed', `${req.method} is not for this path.`);
}

// positive returns the digits of a number from 1 to 2^63-1, or undefined: it
// may be larger than what a number here holds.
function positive(text) {
  return /^\d{1,30}$/.test(text) && BigInt(text) > 0n && BigInt(text) <= MAX_BIGINT ? String(BigInt(text)) : undefined;
}

// userId reads which user it is about.
function userId(req, res, next) {
  res.locals.id = positive(req.params.id);
  if (!res.locals.id) throw notFound();
  next();
}

// wantedVersion reads the version that the user must have: null for any.
function wantedVersion(req, res, next) {
  const header = req.get('If-Match') ?? '*';
  res.locals.match = header === '*' ? null : positive(/^"(.*)"$/.exec(header)?.[1]);
  if (res.locals.match === undefined) throw stale();
  next();
}

function paging(req) {
  const query = new URL(req.originalUrl, 'http://localhost').searchParams;
  const limit = query.get('limit') || '20';
  const after = query.get('after') || '0';
  const text = query.get('q') ?? '';
  if (!/^\d{1,3}$/.test(limit) || Number(limit) < 1 || Number(limit) > 100) throw invalid('limit must be a number from 1 to 100');
  if (!/^0+$/.test(after) && !positive(after)) throw invalid('after must be the id of a user');
  if (Buffer.byteLength(text) > 100 || /\p{Cc}/u.test(text)) throw invalid('q must be a text of at most 100 bytes');
  return { limit: Number(limit), after, text };
}

// input reads a user from the body.
function input(req) {
  let body;
  try {
    body = JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(req.body));
  } catch {
    throw badRequest('The body is not JSON in UTF-8.');
  }
  const fields = Object.entries(body ?? []);
  const isText = (value) => typeof value === 'string' && value.isWellFormed(); // without half of a surrogate pair
  const fine = ([name, value]) => ['name', 'email'].includes(name) && (value === null || isText(value));
  if (typeof body !== 'object' || body === null || Array.isArray(body) || !fields.every(fine)) {
    throw badRequest('Send a JSON object like {"name": "Ada", "email": "ada@example.com"}.');
  }
  return clean(body);
}
