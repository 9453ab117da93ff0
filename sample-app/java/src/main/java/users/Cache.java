package users;

import com.google.gson.JsonParseException;
import java.sql.Connection;
import java.sql.SQLException;
import java.time.Duration;
import java.util.List;
import java.util.UUID;
import java.util.function.Function;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import javax.sql.DataSource;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import redis.clients.jedis.Pipeline;
import redis.clients.jedis.Protocol;
import redis.clients.jedis.RedisClient;
import redis.clients.jedis.Response;
import redis.clients.jedis.exceptions.JedisDataException;
import redis.clients.jedis.exceptions.JedisException;
import redis.clients.jedis.params.SetParams;

/**
 * Keeps users in Redis before Postgres, for speed alone: no read that begins
 * after a change was acknowledged shows what was before it, whatever becomes of
 * Redis. The README of the folder above tells why.
 *
 * <ul>
 * <li>An entry says in which epoch and in which life of the server it was made.
 *     Only those of this epoch and this life are believed, so that a server that
 *     comes back with what it once saved has nothing.
 * <li>A reader that fills the cache takes a lease first, and then holds a lock on
 *     the row. A writer, which has the row for itself, deletes entry and lease
 *     before it commits: what was read before can no longer be put.
 * <li>Where Redis does not say that it has deleted, the writer's transaction
 *     begins a new epoch, and the change is acknowledged only when nobody trusts
 *     the old one any more.
 * </ul>
 */
final class Cache implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(Cache.class);
    private static final Duration ENTRY_TTL = Duration.ofMinutes(1);
    private static final Duration LEASE_TTL = Duration.ofSeconds(2);
    private static final Duration EPOCH_TRUST = Duration.ofMillis(500);

    private static final Pattern RUN_ID = Pattern.compile("run_id:(\\w+)");

    /** Writes an entry if the lease for it is still there. */
    private static final String PUT = """
            if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
            redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
            redis.call('DEL', KEYS[1])
            return 1""";

    private final DataSource db;
    private final Redis reader; // its credential may be unable to write
    private final Redis writer; // both are null without REDIS_URL
    private volatile Epoch known = new Epoch("", System.nanoTime() - EPOCH_TRUST.toNanos());

    /** asked is when Postgres was asked, not when it answered. */
    private record Epoch(String id, long asked) {}

    /** What Redis keeps of a user. life is the run id of the server that was asked for the lease. */
    private record Entry(String epoch, String life, User user) {}

    /**
     * What a look into the cache found. how is what X-Cache says; user is that
     * of a hit; lease is for the one reader of a miss that is to fill.
     */
    record Look(String how, User user, String lease, String epoch, String life) {
        static Look bypass() {
            return new Look("bypass", null, null, null, null);
        }
    }

    /** The cache at a URL, read through another if that is set. Without a URL every look is a bypass. */
    Cache(DataSource db, String url, String readerUrl) {
        this.db = db;
        writer = url == null ? null : new Redis("REDIS_URL", url);
        reader = url == null ? null : readerUrl == null ? new Redis("REDIS_URL", url) : new Redis("REDIS_READER_URL", readerUrl);
    }

    /** Looks for a user. It fails only without Postgres, which has the epoch. */
    Look look(long id) throws SQLException {
        if (reader == null) {
            return Look.bypass();
        }
        String epoch = epoch();
        try {
            Answer<String> found = ask(reader, pipe -> pipe.get(entryKey(id)));
            Entry entry = parse(found.value);
            if (entry != null && epoch.equals(entry.epoch) && found.life.equals(entry.life) && entry.user != null && entry.user.id() == id) {
                return new Look("hit", entry.user, null, null, null);
            }
        } catch (JedisException e) {
            LOG.atWarn().addKeyValue("error", e).log("the cache does not answer");
            return Look.bypass();
        }
        String token = UUID.randomUUID().toString();
        try {
            Answer<String> leased = ask(writer, pipe -> pipe.set(leaseKey(id), token, SetParams.setParams().nx().px(LEASE_TTL.toMillis())));
            return new Look("miss", null, "OK".equals(leased.value) ? token : null, epoch, leased.life);
        } catch (JedisException e) {
            return new Look("miss", null, null, null, null);
        }
    }

    private static Entry parse(String text) {
        try {
            return Json.GSON.fromJson(text, Entry.class);
        } catch (JsonParseException e) {
            return null;
        }
    }

    /** The current epoch, or one that was it less than EPOCH_TRUST ago. */
    private String epoch() throws SQLException {
        long now = System.nanoTime();
        Epoch epoch = known;
        if (now - epoch.asked >= EPOCH_TRUST.toNanos()) {
            try (Connection connection = db.getConnection()) {
                now = System.nanoTime();
                epoch = new Epoch(Database.query(connection, row -> row.getString(1), "SELECT epoch::text FROM cache_epoch").get(0), now);
            }
            known = epoch;
        }
        return epoch.id;
    }

    /** value is null if the server refused, which is an answer, too. */
    private record Answer<T>(String life, T value) {}

    /** Sends a command and the question which life of the server answers it, on one connection. */
    private static <T> Answer<T> ask(Redis redis, Function<Pipeline, Response<T>> command) {
        return redis.ask(client -> {
            try (Pipeline pipe = client.pipelined()) {
                Response<Object> info = pipe.sendCommand(Protocol.Command.INFO, "server");
                Response<T> answer = command.apply(pipe);
                pipe.sync();
                String text = value(info) instanceof byte[] bytes ? new String(bytes, Protocol.CHARSET) : "";
                Matcher life = RUN_ID.matcher(text);
                return new Answer<>(life.find() ? life.group(1) : "", value(answer));
            }
        });
    }

    private static <T> T value(Response<T> response) {
        try {
            return response.get();
        } catch (JedisDataException e) {
            return null;
        }
    }

    /** Puts in what was read from Postgres after a look that got the lease, while the row is locked. */
    void fill(Look look, User user) {
        String entry = Json.GSON.toJson(new Entry(look.epoch, look.life, user));
        try {
            writer.ask(redis -> redis.eval(PUT, List.of(leaseKey(user.id()), entryKey(user.id())),
                    List.of(look.lease, entry, Long.toString(ENTRY_TTL.toMillis()))));
        } catch (JedisException e) {
            LOG.atWarn().addKeyValue("user", user.id()).addKeyValue("error", e).log("the cache was not filled");
        }
    }

    /**
     * Deletes a user from the cache, before tx commits its change. Unless Redis
     * was told, the commit begins a new epoch, which is to be awaited after it.
     */
    boolean forget(Connection tx, long id) throws SQLException {
        if (writer == null) {
            return true;
        }
        try {
            writer.ask(redis -> redis.del(entryKey(id), leaseKey(id)));
            return true;
        } catch (JedisException e) {
            LOG.atWarn().addKeyValue("user", id).addKeyValue("error", e).log("the cache cannot be told to forget; a new epoch begins");
            Database.execute(tx, "UPDATE cache_epoch SET epoch = gen_random_uuid()");
            return false;
        }
    }

    /** Waits until nobody trusts the epoch before the one that was just committed. */
    static void awaitNewEpoch() {
        try {
            Thread.sleep(EPOCH_TRUST.toMillis());
        } catch (InterruptedException e) {
            throw new IllegalStateException("a request was interrupted", e);
        }
    }

    /** Says off, ok or down. */
    String state() {
        if (reader == null) {
            return "off";
        }
        try {
            reader.ask(RedisClient::ping);
            writer.ask(RedisClient::ping);
            return "ok";
        } catch (JedisException e) {
            return "down";
        }
    }

    private static String entryKey(long id) {
        return "user:" + id;
    }

    private static String leaseKey(long id) {
        return "lease:" + id;
    }

    @Override
    public void close() {
        if (reader != null) {
            reader.close();
            writer.close();
        }
    }
}
