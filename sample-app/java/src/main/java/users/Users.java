package users;

import java.sql.Connection;
import java.sql.SQLException;
import java.util.List;
import javax.sql.DataSource;

/** The one place that changes users, so that no change forgets the cache or its event. */
final class Users {
    private static final String COLUMNS = "id, name, email, version, created_at, updated_at";
    private static final String UNIQUE_VIOLATION = "23505"; // a SQLSTATE

    private final DataSource db;
    private final Cache cache;
    private final Outbox outbox;

    Users(DataSource db, Cache cache, Outbox outbox) {
        this.db = db;
        this.cache = cache;
        this.outbox = outbox;
    }

    /** Adds a user. The cache cannot know of it yet. */
    User create(Request request, Input in) throws SQLException {
        return Database.transaction(db, tx -> {
            User user = one(tx, "INSERT INTO users (name, email) VALUES (?, ?) RETURNING " + COLUMNS, in.name(), in.email());
            outbox.add(tx, request, "user.created", user);
            return user;
        });
    }

    /** Reads a user after a look into the cache, which did not find it. */
    User read(Cache.Look look, long id) throws SQLException {
        if (look.lease() == null) {
            try (Connection connection = db.getConnection()) {
                return one(connection, "SELECT " + COLUMNS + " FROM users WHERE id = ?", id);
            }
        }
        // The row stays as it is until the cache has it, and waits for who is changing it.
        return Database.transaction(db, tx -> {
            User user = one(tx, "SELECT " + COLUMNS + " FROM users WHERE id = ? FOR SHARE", id);
            cache.fill(look, user);
            return user;
        });
    }

    /**
     * Up to limit users after an id whose name or email holds the text, in the
     * order they were created. A list is never cached: it would have to be
     * forgotten with every change of any user.
     */
    List<User> list(long after, int limit, String text) throws SQLException {
        String pattern = contains(text);
        try (Connection connection = db.getConnection()) {
            return Database.query(connection, Database::user, "SELECT " + COLUMNS + " FROM users"
                    + " WHERE id > ? AND (name ILIKE ? OR email ILIKE ?) ORDER BY id LIMIT ?", after, pattern, pattern, limit);
        }
    }

    /** The LIKE pattern of what holds a text. */
    static String contains(String text) {
        return "%" + text.replaceAll("[\\\\%_]", "\\\\$0") + "%";
    }

    /** Replaces a user. match is the version it must have, or 0 for any. */
    User update(Request request, long id, long match, Input in) throws SQLException {
        return change(request, id, match, "user.updated", "UPDATE users SET name = ?, email = ?, version = version + 1, updated_at = now()"
                + " WHERE id = ? RETURNING " + COLUMNS, in.name(), in.email(), id);
    }

    /** Removes a user. match is the version it must have, or 0 for any. */
    void delete(Request request, long id, long match) throws SQLException {
        change(request, id, match, "user.deleted", "DELETE FROM users WHERE id = ? RETURNING " + COLUMNS, id);
    }

    private record Change(User user, boolean told) {}

    /** Runs a statement on one user, writes its event, and makes the cache forget the user. */
    private User change(Request request, long id, long match, String type, String sql, Object... args) throws SQLException {
        Change change = Database.transaction(db, tx -> {
            User old = one(tx, "SELECT " + COLUMNS + " FROM users WHERE id = ? FOR UPDATE", id);
            if (match != 0 && match != old.version()) {
                throw ApiError.stale();
            }
            User user = one(tx, sql, args);
            outbox.add(tx, request, type, user);
            return new Change(user, cache.forget(tx, id));
        });
        if (!change.told()) {
            Cache.awaitNewEpoch();
        }
        return change.user();
    }

    private static User one(Connection db, String sql, Object... args) throws SQLException {
        try {
            return Database.query(db, Database::user, sql, args).stream().findFirst().orElseThrow(ApiError::notFound);
        } catch (SQLException e) {
            if (UNIQUE_VIOLATION.equals(e.getSQLState())) {
                throw ApiError.emailTaken();
            }
            throw e;
        }
    }

    /** Fails unless Postgres answers and has the schema. */
    void ping() throws SQLException {
        try (Connection connection = db.getConnection()) {
            Database.execute(connection, "SELECT FROM users LIMIT 0");
        }
    }
}
