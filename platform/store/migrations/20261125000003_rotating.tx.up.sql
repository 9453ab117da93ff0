-- Credentials whose secrets are to be replaced. NULL is none.
ALTER TABLE addons ADD COLUMN rotating TEXT;
