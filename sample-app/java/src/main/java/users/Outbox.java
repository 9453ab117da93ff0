package users;

import com.google.gson.JsonElement;
import com.google.gson.JsonParser;
import java.nio.charset.StandardCharsets;
import java.sql.Connection;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.time.Duration;
import java.time.Instant;
import java.time.OffsetDateTime;
import java.util.List;
import java.util.concurrent.ExecutionException;
import javax.sql.DataSource;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Holds the events that Kafka does not have yet. A change writes its event in its
 * own transaction, so that there is one for each change that was made and none
 * for those that were not; publishing gives them to Kafka, whenever that is there.
 */
final class Outbox {
    private static final Logger LOG = LoggerFactory.getLogger(Outbox.class);
    private static final Duration POLL_EVERY = Duration.ofMillis(200);
    private static final Duration RETRY_EVERY = Duration.ofSeconds(1);

    private final DataSource db; // of the requests
    private final DataSource own; // for the connection that has the lock
    private final Kafka kafka; // null without KAFKA_URL: then no event is written

    Outbox(DataSource db, DataSource own, Kafka kafka) {
        this.db = db;
        this.own = own;
        this.kafka = kafka;
    }

    /** The value of a record. Its id rises with each event of a user. */
    private record Event(long id, String type, JsonElement user, String requestId, Instant at) {}

    private record Waiting(Event event, long userId, String traceparent) {
        static Waiting of(ResultSet row) throws SQLException {
            return new Waiting(new Event(row.getLong("id"), row.getString("type"), JsonParser.parseString(row.getString("user_json")),
                    row.getString("request_id"), row.getObject("at", OffsetDateTime.class).toInstant()), row.getLong("user_id"), row.getString("traceparent"));
        }
    }

    /** Writes an event that is there when tx commits. */
    void add(Connection tx, Request request, String type, User user) throws SQLException {
        if (kafka != null) {
            Database.execute(tx, "INSERT INTO outbox (type, user_id, user_json, traceparent, request_id) VALUES (?, ?, ?, ?, ?)",
                    type, user.id(), Json.GSON.toJson(user), request.traceparent(), request.id());
        }
    }

    /** How many events wait; not a number without Postgres. */
    double length() {
        try (Connection connection = db.getConnection()) {
            return Database.query(connection, row -> row.getLong(1), "SELECT count(*) FROM outbox").get(0);
        } catch (SQLException e) {
            return Double.NaN;
        }
    }

    /** Gives events to Kafka as long as the process lives, in one process at a time. */
    void start() {
        if (kafka == null) {
            return;
        }
        Thread thread = new Thread(this::keepPublishing, "outbox");
        thread.setDaemon(true);
        thread.start();
    }

    private void keepPublishing() {
        try {
            while (true) {
                try {
                    publish();
                } catch (SQLException | ExecutionException | KafkaException e) {
                    LOG.atWarn().addKeyValue("error", e).log("events stay in the outbox for now");
                }
                Thread.sleep(RETRY_EVERY.toMillis());
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    /** Publishes until something fails. The lock that makes this process the one is its connection's, and goes with it. */
    private void publish() throws SQLException, ExecutionException, InterruptedException {
        try (Connection connection = own.getConnection()) {
            if (!Database.query(connection, row -> row.getBoolean(1), "SELECT pg_try_advisory_lock(hashtext('outbox'))").get(0)) {
                return;
            }
            KafkaProducer<String, String> producer = kafka.connect();
            try {
                while (true) {
                    if (publishSome(connection, producer) == 0) {
                        Thread.sleep(POLL_EVERY.toMillis());
                    }
                }
            } finally {
                producer.close(Duration.ZERO);
            }
        }
    }

    /**
     * Publishes the oldest events, each after the one before it has been
     * acknowledged and removed. Should it die in between, that one is published again.
     */
    private int publishSome(Connection connection, KafkaProducer<String, String> producer) throws SQLException, ExecutionException, InterruptedException {
        List<Waiting> oldest = Database.query(connection, Waiting::of, "SELECT * FROM outbox ORDER BY id LIMIT 100");
        for (Waiting next : oldest) {
            ProducerRecord<String, String> message = new ProducerRecord<>(kafka.topic(), Long.toString(next.userId), Json.GSON.toJson(next.event));
            message.headers().add("type", next.event.type.getBytes(StandardCharsets.UTF_8));
            message.headers().add("traceparent", next.traceparent.getBytes(StandardCharsets.UTF_8));
            producer.send(message).get();
            Database.execute(connection, "DELETE FROM outbox WHERE id = ?", next.event.id);
        }
        return oldest.size();
    }
}
