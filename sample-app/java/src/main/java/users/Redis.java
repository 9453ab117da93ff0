package users;

import java.net.URI;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Function;
import redis.clients.jedis.ClientSetInfoConfig;
import redis.clients.jedis.ConnectionPoolConfig;
import redis.clients.jedis.DefaultJedisClientConfig;
import redis.clients.jedis.RedisClient;
import redis.clients.jedis.SslOptions;
import redis.clients.jedis.SslVerifyMode;
import redis.clients.jedis.exceptions.JedisConnectionException;
import redis.clients.jedis.exceptions.JedisException;
import redis.clients.jedis.util.JedisURIHelper;

/** A Redis that is asked once, and has 100 ms to answer, connecting included. */
final class Redis implements AutoCloseable {
    private static final int TIMEOUT = 100; // ms

    // A mini server takes 20 connections, and while a release is rolled out two
    // dynos share them, each with a reader and a writer.
    private static final int CONNECTIONS = 4;

    private final RedisClient client;

    // One for each connection. Jedis has a timeout for each step, and none for
    // all of them; so these ask, and who wants to know waits as long as it may.
    private final ExecutorService threads = Executors.newFixedThreadPool(CONNECTIONS, task -> {
        Thread thread = new Thread(task, "redis");
        thread.setDaemon(true);
        return thread;
    });

    /** Connects when it is first asked. name is that of the variable with the URL. */
    Redis(String name, String url) {
        URI uri;
        try {
            uri = URI.create(url);
            if (!JedisURIHelper.isValid(uri) || !JedisURIHelper.isRedisScheme(uri) && !JedisURIHelper.isRedisSSLScheme(uri)) {
                throw new IllegalArgumentException();
            }
        } catch (IllegalArgumentException e) { // which would show the password
            throw new IllegalArgumentException(name + " is not a redis:// or rediss:// URL");
        }
        DefaultJedisClientConfig.Builder config = DefaultJedisClientConfig.builder()
                .timeoutMillis(TIMEOUT)
                .clientSetInfoConfig(ClientSetInfoConfig.DISABLED)
                .user(JedisURIHelper.getUser(uri))
                .password(JedisURIHelper.getPassword(uri))
                .database(JedisURIHelper.getDBIndex(uri));
        if (JedisURIHelper.isRedisSSLScheme(uri)) {
            // Heroku's servers have certificates that they signed themselves;
            // its manual says not to verify them, so TLS hides the traffic and
            // the password tells friend from foe.
            // https://devcenter.heroku.com/articles/connecting-heroku-redis
            config.sslOptions(SslOptions.builder().sslVerifyMode(SslVerifyMode.INSECURE).build());
        }
        ConnectionPoolConfig pool = new ConnectionPoolConfig();
        pool.setMaxTotal(CONNECTIONS);
        pool.setMaxIdle(CONNECTIONS);
        pool.setJmxEnabled(false);
        client = RedisClient.builder().hostAndPort(JedisURIHelper.getHostAndPort(uri)).clientConfig(config.build()).poolConfig(pool).build();
    }

    /** Asks a question. A JedisDataException is an answer: the server refuses. */
    <T> T ask(Function<RedisClient, T> question) {
        Future<T> answer = threads.submit(() -> question.apply(client));
        try {
            return answer.get(TIMEOUT, TimeUnit.MILLISECONDS);
        } catch (TimeoutException e) {
            answer.cancel(false); // what was said cannot be taken back, and is heard or not
            throw new JedisConnectionException("no answer within " + TIMEOUT + " ms");
        } catch (ExecutionException e) {
            if (e.getCause() instanceof JedisException failure) {
                throw failure;
            }
            throw new IllegalStateException(e.getCause());
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new JedisConnectionException("interrupted", e);
        }
    }

    @Override
    public void close() {
        threads.shutdownNow();
        client.close();
    }
}
