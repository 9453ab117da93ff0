-- The key under which cache entries are sealed: one row. A new key makes
-- every entry worthless at once.
CREATE TABLE cache_key (
    one    boolean PRIMARY KEY DEFAULT true CHECK (one),
    key    bytea NOT NULL,
    server text NOT NULL DEFAULT '' -- run id of the Redis that has the entries
);

CREATE FUNCTION new_cache_key() RETURNS bytea LANGUAGE sql VOLATILE AS
    $$ SELECT uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) $$;

INSERT INTO cache_key (key) VALUES (new_cache_key());
