CREATE TABLE accounts (
  id TEXT PRIMARY KEY, email TEXT NOT NULL UNIQUE, name TEXT NOT NULL,
  created_at TIMESTAMP NOT NULL, updated_at TIMESTAMP NOT NULL
);

--bun:split

CREATE TABLE authorizations (
  id TEXT PRIMARY KEY, token_id TEXT NOT NULL, description TEXT NOT NULL, scope TEXT NOT NULL,
  token_hash TEXT NOT NULL UNIQUE, hint TEXT NOT NULL, expires_at TIMESTAMP,
  created_at TIMESTAMP NOT NULL, updated_at TIMESTAMP NOT NULL
);

--bun:split

CREATE TABLE apps (
  id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, stack TEXT NOT NULL, build_stack TEXT NOT NULL,
  maintenance BOOLEAN NOT NULL, uid INTEGER NOT NULL UNIQUE,
  buildpack_provided_description TEXT, repo_size INTEGER, slug_size INTEGER,
  created_at TIMESTAMP NOT NULL, updated_at TIMESTAMP NOT NULL, released_at TIMESTAMP
);

--bun:split

CREATE TABLE buildpack_installations (
  app_id TEXT NOT NULL REFERENCES apps (id) ON DELETE CASCADE, ordinal INTEGER NOT NULL,
  url TEXT NOT NULL, name TEXT NOT NULL, PRIMARY KEY (app_id, ordinal)
);

--bun:split

CREATE TABLE slugs (
  id TEXT PRIMARY KEY, app_id TEXT NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
  stack TEXT NOT NULL, "commit" TEXT, commit_description TEXT, buildpack_provided_description TEXT,
  checksum TEXT NOT NULL, size INTEGER NOT NULL, process_types TEXT NOT NULL,
  created_at TIMESTAMP NOT NULL, updated_at TIMESTAMP NOT NULL
);

--bun:split

CREATE TABLE builds (
  id TEXT PRIMARY KEY, app_id TEXT NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
  status TEXT NOT NULL, stack TEXT NOT NULL, buildpacks TEXT NOT NULL,
  source_url TEXT NOT NULL, source_version TEXT NOT NULL, source_description TEXT NOT NULL, source_checksum TEXT NOT NULL,
  slug_id TEXT, release_id TEXT,
  created_at TIMESTAMP NOT NULL, updated_at TIMESTAMP NOT NULL
);

--bun:split

CREATE TABLE releases (
  id TEXT PRIMARY KEY, app_id TEXT NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
  version INTEGER NOT NULL, slug_id TEXT, status TEXT NOT NULL, description TEXT NOT NULL,
  addon_plan_names TEXT NOT NULL, has_output BOOLEAN NOT NULL,
  created_at TIMESTAMP NOT NULL, updated_at TIMESTAMP NOT NULL,
  UNIQUE (app_id, version)
);

--bun:split

CREATE TABLE formations (
  id TEXT PRIMARY KEY, app_id TEXT NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
  type TEXT NOT NULL, command TEXT NOT NULL, quantity INTEGER NOT NULL, size TEXT NOT NULL,
  created_at TIMESTAMP NOT NULL, updated_at TIMESTAMP NOT NULL,
  UNIQUE (app_id, type)
);

--bun:split

CREATE TABLE addons (
  id TEXT PRIMARY KEY, app_id TEXT NOT NULL, name TEXT NOT NULL UNIQUE, service TEXT NOT NULL,
  plan TEXT NOT NULL, state TEXT NOT NULL, engine TEXT NOT NULL, options TEXT NOT NULL,
  provision_message TEXT NOT NULL, created_at TIMESTAMP NOT NULL, updated_at TIMESTAMP NOT NULL
);

--bun:split

CREATE TABLE attachments (
  id TEXT PRIMARY KEY, addon_id TEXT NOT NULL REFERENCES addons (id) ON DELETE CASCADE,
  app_id TEXT NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
  name TEXT NOT NULL, namespace TEXT, created_at TIMESTAMP NOT NULL, updated_at TIMESTAMP NOT NULL,
  UNIQUE (app_id, name)
);

--bun:split

CREATE TABLE secrets (
  kind TEXT NOT NULL, owner TEXT NOT NULL, app_id TEXT REFERENCES apps (id) ON DELETE CASCADE,
  sealed BLOB NOT NULL, PRIMARY KEY (kind, owner)
);
