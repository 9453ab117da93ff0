-- The schema, as the release phase brings it about: run whole, in one
-- transaction, however often. It is the same in every language.

SELECT pg_advisory_xact_lock(hashtext('schema')); -- two releases at once: one waits

CREATE TABLE IF NOT EXISTS users (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name       text NOT NULL,
    email      text NOT NULL,
    version    bigint NOT NULL DEFAULT 1, -- rises by one with each change
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE UNIQUE INDEX IF NOT EXISTS users_email ON users (lower(email));

-- One row. Entries of the cache carry the epoch that they were made in; with a
-- new epoch all of them are worthless.
CREATE TABLE IF NOT EXISTS cache_epoch (
    one   boolean PRIMARY KEY DEFAULT true CHECK (one),
    epoch uuid NOT NULL DEFAULT gen_random_uuid()
);

INSERT INTO cache_epoch DEFAULT VALUES ON CONFLICT DO NOTHING;

-- Events that Kafka does not have yet.
CREATE TABLE IF NOT EXISTS outbox (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    type        text NOT NULL, -- user.created, user.updated, user.deleted
    user_id     bigint NOT NULL,
    user_json   text NOT NULL,
    traceparent text NOT NULL,
    request_id  text NOT NULL,
    at          timestamptz NOT NULL DEFAULT now()
);
