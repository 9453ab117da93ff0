-- Whether the app's log has what its dynos use.
ALTER TABLE apps ADD COLUMN runtime_metrics BOOLEAN NOT NULL DEFAULT FALSE;
