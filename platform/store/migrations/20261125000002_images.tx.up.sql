-- What a slug of the container stack is made of.
ALTER TABLE slugs ADD COLUMN images TEXT NOT NULL DEFAULT '{}';
