package users;

import java.io.IOException;
import java.io.InputStream;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.time.Duration;
import java.time.OffsetDateTime;
import java.util.ArrayList;
import java.util.List;
import javax.sql.DataSource;
import org.apache.commons.dbcp2.DataSourceConnectionFactory;
import org.apache.commons.dbcp2.PoolableConnection;
import org.apache.commons.dbcp2.PoolableConnectionFactory;
import org.apache.commons.dbcp2.PoolingDataSource;
import org.apache.commons.pool2.impl.GenericObjectPool;
import org.apache.commons.pool2.impl.GenericObjectPoolConfig;
import org.postgresql.ds.PGSimpleDataSource;

/** Postgres, and the little that is needed on top of JDBC. */
final class Database {
    private Database() {}

    /** Work is done in one transaction. */
    interface Work<T> {
        T in(Connection tx) throws SQLException;
    }

    /** Row makes a value of a row. */
    interface Row<T> {
        T of(ResultSet row) throws SQLException;
    }

    /** Single connections to the database at a URL. */
    static DataSource at(String url) {
        PGSimpleDataSource source = new PGSimpleDataSource();
        try {
            URI uri = URI.create(url);
            String query = uri.getRawQuery() == null ? "" : "?" + uri.getRawQuery();
            source.setUrl("jdbc:postgresql://" + uri.getRawAuthority().replaceFirst("^.*@", "") + uri.getRawPath() + query);
            if (uri.getUserInfo() != null) {
                String[] login = uri.getUserInfo().split(":", 2);
                source.setUser(login[0]);
                source.setPassword(login.length > 1 ? login[1] : null);
            }
        } catch (RuntimeException e) { // which would show the password
            throw new IllegalArgumentException("DATABASE_URL is not a postgres:// URL");
        }
        source.setOptions("-c statement_timeout=5s");
        source.setConnectTimeout(3);
        source.setSocketTimeout(10); // where Postgres itself no longer keeps time
        return source;
    }

    /**
     * The connections of all requests: who comes first has one first, and hears
     * at once where there is none to be had. An essential-0 database takes 20,
     * and while a release is rolled out two dynos share them. The outbox has one more.
     */
    static PoolingDataSource<PoolableConnection> pool(DataSource source) {
        GenericObjectPoolConfig<PoolableConnection> config = new GenericObjectPoolConfig<>();
        config.setMaxTotal(8);
        config.setMaxIdle(8);
        config.setMaxWait(Duration.ofSeconds(10));
        config.setFairness(true);
        config.setJmxEnabled(false);
        PoolableConnectionFactory factory = new PoolableConnectionFactory(new DataSourceConnectionFactory(source), null);
        GenericObjectPool<PoolableConnection> pool = new GenericObjectPool<>(factory, config);
        factory.setPool(pool);
        return new PoolingDataSource<>(pool);
    }

    static <T> T transaction(DataSource db, Work<T> work) throws SQLException {
        try (Connection tx = db.getConnection()) { // which rolls back what is not committed
            tx.setAutoCommit(false);
            T result = work.in(tx);
            tx.commit();
            return result;
        }
    }

    static <T> List<T> query(Connection db, Row<T> row, String sql, Object... args) throws SQLException {
        try (PreparedStatement statement = prepare(db, sql, args); ResultSet rows = statement.executeQuery()) {
            List<T> all = new ArrayList<>();
            while (rows.next()) {
                all.add(row.of(rows));
            }
            return all;
        }
    }

    static void execute(Connection db, String sql, Object... args) throws SQLException {
        try (PreparedStatement statement = prepare(db, sql, args)) {
            statement.execute();
        }
    }

    private static PreparedStatement prepare(Connection db, String sql, Object... args) throws SQLException {
        PreparedStatement statement = db.prepareStatement(sql);
        for (int i = 0; i < args.length; i++) {
            statement.setObject(i + 1, args[i]);
        }
        return statement;
    }

    static User user(ResultSet row) throws SQLException {
        return new User(row.getLong("id"), row.getString("name"), row.getString("email"), row.getLong("version"),
                row.getObject("created_at", OffsetDateTime.class).toInstant(), row.getObject("updated_at", OffsetDateTime.class).toInstant());
    }

    /** Runs one of the app's scripts: all of it or nothing, any number of times. */
    static void run(DataSource source, String script) throws SQLException, IOException {
        try (Connection tx = source.getConnection(); var statement = tx.createStatement()) {
            tx.setAutoCommit(false);
            statement.execute(resource(script));
            tx.commit();
        }
    }

    static String resource(String name) throws IOException {
        try (InputStream in = Database.class.getResourceAsStream("/" + name)) {
            return new String(in.readAllBytes(), StandardCharsets.UTF_8);
        }
    }
}
