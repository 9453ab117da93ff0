-- What runs, so that a platform that was killed finds it again.
CREATE TABLE dynos (
  id TEXT PRIMARY KEY, app_id TEXT NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
  release_id TEXT NOT NULL, version INTEGER NOT NULL, name TEXT NOT NULL, type TEXT NOT NULL,
  command TEXT NOT NULL, size TEXT NOT NULL, state TEXT NOT NULL,
  created_at TIMESTAMP NOT NULL, updated_at TIMESTAMP NOT NULL
);

--bun:split

CREATE INDEX dynos_of_app ON dynos (app_id);

--bun:split

-- NULL leaves it to how many web dynos there are.
ALTER TABLE apps ADD COLUMN preboot BOOLEAN;
