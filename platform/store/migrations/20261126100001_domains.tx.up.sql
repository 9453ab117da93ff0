-- Certificates of apps; their keys are secrets.
CREATE TABLE sni_endpoints (
  id TEXT PRIMARY KEY, app_id TEXT NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
  name TEXT NOT NULL UNIQUE, certificate_chain TEXT NOT NULL, acm BOOLEAN NOT NULL,
  created_at TIMESTAMP NOT NULL, updated_at TIMESTAMP NOT NULL
);

--bun:split

CREATE INDEX sni_endpoints_of_app ON sni_endpoints (app_id);

--bun:split

CREATE TABLE domains (
  id TEXT PRIMARY KEY, app_id TEXT NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
  hostname TEXT NOT NULL UNIQUE, sni_endpoint_id TEXT REFERENCES sni_endpoints (id) ON DELETE SET NULL,
  acm_status TEXT, acm_status_reason TEXT, acm_attempts INTEGER NOT NULL, acm_retry_at TIMESTAMP,
  created_at TIMESTAMP NOT NULL, updated_at TIMESTAMP NOT NULL
);

--bun:split

CREATE INDEX domains_of_app ON domains (app_id);

--bun:split

-- Whether niwa gets certificates for the app's domains.
ALTER TABLE apps ADD COLUMN acm BOOLEAN NOT NULL DEFAULT FALSE;
