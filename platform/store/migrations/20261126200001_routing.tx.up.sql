-- How requests are routed, where that is not as it is for all.
ALTER TABLE apps ADD COLUMN routing TEXT NOT NULL DEFAULT '{}';
