-- Somebody to look at in a new app, the same in every language. No event says
-- that they were created.
INSERT INTO users (name, email) VALUES
    ('Grace Hopper', 'grace@example.com'),
    ('Edsger Dijkstra', 'edsger@example.com'),
    ('Barbara Liskov', 'barbara@example.com')
ON CONFLICT DO NOTHING;
