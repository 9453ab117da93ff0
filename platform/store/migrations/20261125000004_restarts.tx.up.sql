-- When dynos were asked to be restarted. NULL is never.
ALTER TABLE apps ADD COLUMN restarts TEXT;
