package users;

import io.javalin.Javalin;
import java.util.Deque;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentLinkedDeque;
import javax.sql.DataSource;
import org.apache.commons.dbcp2.PoolingDataSource;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A web service that creates, reads, updates, deletes, lists and searches users.
 * Postgres is the only truth; Redis, before it, makes reads fast and can never
 * make them wrong.
 *
 * <pre>
 * users.jar           serve HTTP on $PORT
 * users.jar migrate   bring the schema up to date (the release phase)
 * users.jar seed      add users to look at (postdeploy)
 * </pre>
 */
public final class Main {
    private static final Logger LOG = LoggerFactory.getLogger(Main.class);

    private Main() {}

    public static void main(String[] args) {
        try {
            run(System.getenv(), List.of(args));
        } catch (Exception e) {
            LOG.error("stopped", e);
            Runtime.getRuntime().halt(1); // without what is done at a signal
        }
    }

    private static void run(Map<String, String> env, List<String> args) throws Exception {
        if (!List.of("debug", "info", "warn", "error").contains(env.getOrDefault("LOG_LEVEL", "info"))) {
            throw new IllegalArgumentException("LOG_LEVEL is not debug, info, warn or error");
        }
        if (env.get("DATABASE_URL") == null) {
            throw new IllegalArgumentException("DATABASE_URL is not set; attach a database (heroku addons:create heroku-postgresql)");
        }
        DataSource database = Database.at(env.get("DATABASE_URL"));
        if (args.isEmpty()) {
            serve(env, database);
        } else if (args.equals(List.of("migrate"))) {
            Database.run(database, "schema.sql");
        } else if (args.equals(List.of("seed"))) {
            Database.run(database, "seed.sql");
        } else {
            throw new IllegalArgumentException("there is no command " + args + "; use migrate or seed, or none to serve");
        }
    }

    private static void serve(Map<String, String> env, DataSource database) throws Exception {
        Deque<AutoCloseable> stops = new ConcurrentLinkedDeque<>();
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            for (AutoCloseable stop : stops) {
                try {
                    stop.close();
                } catch (Exception e) {
                    LOG.error("not stopped as it should be", e);
                }
            }
            Runtime.getRuntime().halt(0); // it would be 143, of the signal
        }, "stop"));
        PoolingDataSource<?> pool = Database.pool(database);
        stops.addFirst(pool);
        Cache cache = new Cache(pool, env.get("REDIS_URL"), env.get("REDIS_READER_URL"));
        stops.addFirst(cache);
        Outbox outbox = new Outbox(pool, database, Kafka.from(env));
        Server server = new Server(new Users(pool, cache, outbox), cache, new Observer(outbox));
        Javalin app = server.start(Integer.parseInt(env.getOrDefault("PORT", "5000")));
        stops.addFirst(app::stop);
        outbox.start();
        LOG.atInfo().addKeyValue("port", app.port()).log("serving");
    }
}
