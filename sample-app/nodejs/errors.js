import { log } from './observe.js';

// ApiError is what a client is told: an id to program against and a message
// for people.
export class ApiError extends Error {
  constructor(status, id, message) {
    super(message);
    this.status = status;
    this.id = id;
  }
}

// Unavailable says that Postgres did not do what it was asked.
export class Unavailable extends Error {
  constructor(cause) {
    super(cause.message);
  }
}

export const notFound = () => new ApiError(404, 'not_found', 'There is no such user.');
export const nothingThere = () => new ApiError(404, 'not_found', 'There is nothing here.');
export const emailTaken = () => new ApiError(409, 'conflict', 'Another user has this email.');
export const stale = () => new ApiError(412, 'precondition_failed', 'The user has changed since you read it; read it again.');
export const invalid = (message) => new ApiError(422, 'invalid_params', message);
export const badRequest = (message) => new ApiError(400, 'bad_request', message);

// answerError is the one place where errors become answers. Those that nobody
// meant for a client are logged, not shown.
export function answerError(error, req, res, next) {
  if (res.headersSent) return next(error);
  const { status, id, message } = known(error);
  if (status === 503) res.set('Retry-After', '1');
  res.status(status).json({ id, message });
}

function known(error) {
  if (error instanceof ApiError) return error;
  if (error instanceof Unavailable) {
    log.error({ error: error.message }, 'Postgres did not do it');
    return new ApiError(503, 'unavailable', 'The users cannot be reached right now; try again.');
  }
  if (error instanceof URIError) return nothingThere(); // a path that cannot be decoded
  if (error.status === 413) return new ApiError(413, 'request_too_large', 'The body has more than 64 KiB.');
  if (error.status >= 400 && error.status < 500) return badRequest(error.message); // Express could not read it
  log.error({ error: error.stack }, 'request failed');
  return new ApiError(500, 'internal_error', 'Something went wrong here; the log has it under the X-Request-Id.');
}
