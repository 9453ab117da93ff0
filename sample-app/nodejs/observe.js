import { AsyncLocalStorage } from 'node:async_hooks';
import { randomBytes, randomUUID } from 'node:crypto';

import pino from 'pino';
import { Counter, Gauge, Histogram, register } from 'prom-client';

// What goes with a request wherever it leads: its id, which is the router's if
// it is safe to log, and its traceparent (https://www.w3.org/TR/trace-context/).
const requests = new AsyncLocalStorage();

export const requestOf = () => requests.getStore();

export const log = pino({
  level: process.env.LOG_LEVEL || 'info',
  base: null,
  timestamp: pino.stdTimeFunctions.isoTime,
  formatters: { level: (label) => ({ level: label }) },
  mixin() {
    const request = requestOf();
    return request ? { request_id: request.id, trace_id: request.traceparent.slice(3, 35) } : {};
  },
});

// requestFrom reads the headers. A trace that came along goes on; else one
// begins here.
function requestFrom(req) {
  const id = req.get('X-Request-Id') ?? '';
  const traceparent = req.get('traceparent') ?? '';
  const goesOn = /^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/.test(traceparent);
  return {
    id: /^[A-Za-z0-9._-]{1,128}$/.test(id) ? id : randomUUID(),
    traceparent: goesOn ? traceparent : `00-${randomBytes(16).toString('hex')}-${randomBytes(8).toString('hex')}-01`,
  };
}

const answered = new Counter({ name: 'http_requests_total', help: 'Requests answered.', labelNames: ['method', 'route', 'status'] });
const duration = new Histogram({ name: 'http_request_duration_seconds', help: 'Time until the answer.', labelNames: ['method', 'route'] });
const reads = new Counter({ name: 'cache_reads_total', help: 'Reads of a user: hit, miss or bypass.', labelNames: ['result'] });

// observe gives each request its ids, counts it, and logs how it ended.
export function observe(req, res, next) {
  const started = performance.now();
  const request = requestFrom(req);
  res.set('X-Request-Id', request.id);
  res.on('close', () => requests.run(request, () => ended(req, res, performance.now() - started)));
  requests.run(request, next);
}

function ended(req, res, ms) {
  const { method, path } = req;
  const route = req.route?.path.replace(':id', '{id}') ?? 'other'; // as openapi.yaml writes it, so that there are few
  const status = res.headersSent ? res.statusCode : 499; // nobody waited for the answer
  const cache = res.get('X-Cache') ?? '';
  answered.inc({ method, route, status });
  duration.observe({ method, route }, ms / 1000);
  if (cache) reads.inc({ result: cache });
  log.info({ method, path, route, status, ms: Math.round(ms), cache }, 'request');
}

// metricsOf returns what answers GET /metrics.
export function metricsOf(outbox) {
  new Gauge({
    name: 'outbox_events',
    help: 'Events that Kafka does not have yet; NaN without Postgres.',
    async collect() {
      this.set(await outbox.length().catch(() => NaN));
    },
  });
  return async (req, res) => {
    const text = await register.metrics();
    res.set('Content-Type', register.contentType).send(text.replace(/ Nan$/gm, ' NaN')); // the library's spelling is its own
  };
}
