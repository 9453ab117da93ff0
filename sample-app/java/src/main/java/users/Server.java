package users;

import io.javalin.Javalin;
import io.javalin.config.JavalinConfig;
import io.javalin.http.Context;
import io.javalin.http.HttpResponseException;
import io.javalin.json.JavalinGson;
import java.io.IOException;
import java.io.InputStream;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.sql.SQLException;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.eclipse.jetty.server.Connector;
import org.eclipse.jetty.server.HttpConfiguration;
import org.eclipse.jetty.server.HttpConnectionFactory;
import org.eclipse.jetty.server.ServerConnector;
import org.eclipse.jetty.server.handler.GracefulHandler;
import org.eclipse.jetty.util.thread.QueuedThreadPool;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Answers HTTP. */
final class Server {
    private static final Logger LOG = LoggerFactory.getLogger(Server.class);
    private static final Pattern NUMBER = Pattern.compile("[0-9]{1,19}");
    private static final Pattern VERSION = Pattern.compile("\"?([1-9][0-9]{0,17})\"?");
    private static final int MAX_BODY = 64 << 10; // bytes
    private static final int MAX_LIMIT = 100;

    private final Users users;
    private final Cache cache;
    private final Observer observer;
    private final String page;

    Server(Users users, Cache cache, Observer observer) throws IOException {
        this.users = users;
        this.cache = cache;
        this.observer = observer;
        this.page = Database.resource("page.html");
    }

    /** Serves until the Javalin that is returned is stopped, which waits for requests under way. */
    Javalin start(int port) {
        return Javalin.start(config -> configure(config, port));
    }

    private void configure(JavalinConfig config, int port) {
        config.startup.showJavalinBanner = false;
        config.http.prefer405over404 = true;
        config.jsonMapper(new JavalinGson(Json.GSON, false));
        config.jetty.threadPool = new QueuedThreadPool(200); // of the 256 threads of a dyno, some of which are the JVM's
        config.jetty.addConnector((server, http) -> connector(server, http, port));
        config.jetty.modifyServer(server -> {
            server.setHandler(new GracefulHandler());
            server.setStopTimeout(25_000); // ms; Heroku kills after 30 s
        });
        config.requestLogger.http((ctx, ms) -> observer.end(ctx, ms));
        config.routes.before(observer::begin)
                .get("/", ctx -> ctx.html(page))
                .get("/health", this::health)
                .get("/metrics", observer::metrics)
                .post("/users", this::create)
                .get("/users", this::list)
                .get("/users/{id}", this::read)
                .put("/users/{id}", this::update)
                .delete("/users/{id}", this::delete)
                .exception(ApiError.class, (e, ctx) -> answer(ctx, e))
                .exception(HttpResponseException.class, (e, ctx) -> answer(ctx, new ApiError(e.getStatus(), idOf(e.getStatus()), e.getMessage())))
                .exception(SQLException.class, (e, ctx) -> {
                    LOG.atError().addKeyValue("error", e).log("Postgres did not do it");
                    answer(ctx, ApiError.unavailable());
                })
                .exception(Exception.class, (e, ctx) -> {
                    LOG.error("request failed", e);
                    answer(ctx, new ApiError(500, "internal_error", "Something went wrong here; the log has it under the X-Request-Id."));
                });
    }

    private static Connector connector(org.eclipse.jetty.server.Server server, HttpConfiguration http, int port) {
        ServerConnector connector = new ServerConnector(server, new HttpConnectionFactory(http));
        connector.setPort(port);
        connector.setAcceptQueueSize(1024); // by default 50, and a burst of more is refused
        connector.setIdleTimeout(90_000); // ms, longer than the router keeps connections
        return connector;
    }

    private static void answer(Context ctx, ApiError error) {
        if (error.status == 503) {
            ctx.header("Retry-After", "1");
        }
        ctx.status(error.status).json(error.body());
    }

    private static String idOf(int status) {
        return switch (status) {
            case 404 -> "not_found";
            case 405 -> "method_not_allowed";
            case 413 -> "request_too_large";
            default -> "bad_request";
        };
    }

    private void create(Context ctx) throws SQLException, IOException {
        User user = users.create(Observer.request(ctx), input(ctx));
        answer(ctx.status(201).header("Location", "/users/" + user.id()), user);
    }

    private void read(Context ctx) throws SQLException {
        long id = id(ctx);
        Cache.Look look = cache.look(id);
        ctx.header("X-Cache", look.how());
        User user = look.user() != null ? look.user() : users.read(look, id);
        if (user.etag().equals(ctx.header("If-None-Match"))) {
            ctx.status(304).header("ETag", user.etag());
            return;
        }
        answer(ctx, user);
    }

    private void update(Context ctx) throws SQLException, IOException {
        long id = id(ctx);
        long match = match(ctx);
        answer(ctx, users.update(Observer.request(ctx), id, match, input(ctx)));
    }

    private void delete(Context ctx) throws SQLException {
        users.delete(Observer.request(ctx), id(ctx), match(ctx));
        ctx.status(204);
    }

    /** Answers a page of users. The Link names the last id seen, so that what is added meanwhile shifts nothing. */
    private void list(Context ctx) throws SQLException {
        int limit = (int) number(ctx, "limit", 20, 1, MAX_LIMIT);
        long after = number(ctx, "after", 0, 0, Long.MAX_VALUE);
        String text = ctx.queryParam("q") == null ? "" : ctx.queryParam("q");
        if (Input.bytes(text) > 100 || Input.hasControl(text)) {
            throw ApiError.invalid("q must be a text of at most 100 bytes");
        }
        List<User> page = users.list(after, limit + 1, text);
        if (page.size() > limit) {
            page = page.subList(0, limit);
            String query = "limit=" + limit + "&after=" + page.get(limit - 1).id()
                    + (text.isEmpty() ? "" : "&q=" + URLEncoder.encode(text, StandardCharsets.UTF_8));
            ctx.header("Link", "</users?" + query + ">; rel=\"next\"");
        }
        ctx.json(page);
    }

    private record Health(String status, String postgres, String cache) {}

    /** Fails without Postgres. Without the cache the app is merely slower. */
    private void health(Context ctx) {
        try {
            users.ping();
            ctx.json(new Health("ok", "ok", cache.state()));
        } catch (SQLException e) {
            LOG.atWarn().addKeyValue("error", e).log("Postgres does not answer");
            ctx.status(503).header("Retry-After", "1").json(new Health("failing", "down", cache.state()));
        }
    }

    private static void answer(Context ctx, User user) {
        ctx.header("ETag", user.etag()).json(user);
    }

    private static long number(Context ctx, String name, long otherwise, long min, long max) {
        String text = ctx.queryParam(name);
        if (text == null || text.isEmpty()) {
            return otherwise;
        }
        long value = parse(text);
        if (value < min || value > max) {
            throw ApiError.invalid(name + " must be a number from " + min + " to " + max);
        }
        return value;
    }

    /** The number that a text is, or -1. */
    private static long parse(String text) {
        try {
            return NUMBER.matcher(text).matches() ? Long.parseLong(text) : -1;
        } catch (NumberFormatException e) { // it is too large
            return -1;
        }
    }

    private static long id(Context ctx) {
        long id = parse(ctx.pathParam("id"));
        if (id < 1) {
            throw ApiError.notFound();
        }
        return id;
    }

    /** The version that a user must have to be changed: 0 for any. */
    private static long match(Context ctx) {
        String header = ctx.header("If-Match");
        if (header == null || header.isEmpty() || header.equals("*")) {
            return 0;
        }
        Matcher version = VERSION.matcher(header);
        if (!version.matches()) {
            throw ApiError.stale();
        }
        return Long.parseLong(version.group(1));
    }

    private static Input input(Context ctx) throws IOException {
        InputStream in = ctx.bodyInputStream();
        byte[] body = in.readNBytes(MAX_BODY + 1);
        if (body.length > MAX_BODY) {
            in.skip(1 << 20); // who is told should have been able to say it all
            throw ApiError.tooLarge();
        }
        return Input.parse(body);
    }
}
