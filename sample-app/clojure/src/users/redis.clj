(ns users.redis
  "A Redis that is asked once, and has 100 ms to answer, connecting included."
  (:import (java.net URI)
           (java.time Duration)
           (java.util.concurrent ExecutionException Executors ExecutorService Future ThreadFactory TimeUnit TimeoutException)
           (redis.clients.jedis ClientSetInfoConfig ConnectionPoolConfig DefaultJedisClientConfig RedisClient
                                SslOptions SslVerifyMode)
           (redis.clients.jedis.builders StandaloneClientBuilder)
           (redis.clients.jedis.exceptions JedisConnectionException)
           (redis.clients.jedis.util JedisURIHelper)))

(def ^:private timeout 100) ; ms

;; A mini server takes 20 connections, and while a release is rolled out two
;; dynos share them, each with a reader and a writer.
(def ^:private connections 4)

(defn- asking
  "One thread for each connection. Jedis has a timeout for each step and none for all
  of them; so these ask, and who wants to know waits as long as it may."
  ^ExecutorService []
  (Executors/newFixedThreadPool connections (reify ThreadFactory
                                              (newThread [_ task] (doto (Thread. task "redis") (.setDaemon true))))))

(defn- uri ^URI [variable ^String url]
  (let [uri (try (URI. url) (catch Exception _ nil))] ; which would show the password
    (when-not (and uri (JedisURIHelper/isValid uri) (or (JedisURIHelper/isRedisScheme uri) (JedisURIHelper/isRedisSSLScheme uri)))
      (throw (IllegalArgumentException. (str variable " is not a redis:// or rediss:// URL"))))
    uri))

(defn- config [^URI uri]
  (let [config (-> (DefaultJedisClientConfig/builder)
                   (.timeoutMillis timeout)
                   (.clientSetInfoConfig ClientSetInfoConfig/DISABLED)
                   (.user (JedisURIHelper/getUser uri))
                   (.password (JedisURIHelper/getPassword uri))
                   (.database (JedisURIHelper/getDBIndex uri)))]
    (when (JedisURIHelper/isRedisSSLScheme uri)
      ;; Heroku's servers have certificates that they signed themselves; its
      ;; manual says not to verify them, so TLS hides the traffic and the
      ;; password tells friend from foe.
      ;; https://devcenter.heroku.com/articles/connecting-heroku-redis
      (.sslOptions config (.. (SslOptions/builder) (sslVerifyMode SslVerifyMode/INSECURE) build)))
    (.build config)))

(defn open
  "Connects when it is first asked. variable is the name of the one with the URL."
  [variable url]
  (let [uri (uri variable url)
        pool (doto (ConnectionPoolConfig.)
               (.setMaxTotal connections)
               (.setMaxIdle connections)
               (.setMaxWait (Duration/ofMillis timeout))
               (.setJmxEnabled false))
        ^StandaloneClientBuilder builder (RedisClient/builder)]
    (.hostAndPort builder (JedisURIHelper/getHostAndPort uri))
    (.clientConfig builder (config uri))
    (.poolConfig builder pool)
    {:client (.build builder) :threads (asking)}))

(defn ask
  "Asks a question, a function of the client. What was said cannot be taken back, and
  is heard or not. A JedisDataException is an answer: the server refuses."
  [{:keys [client ^ExecutorService threads]} question]
  (let [^Callable task #(question client)
        ^Future answer (.submit threads task)]
    (try
      (.get answer timeout TimeUnit/MILLISECONDS)
      (catch TimeoutException _
        (.cancel answer false)
        (throw (JedisConnectionException. (str "no answer within " timeout " ms"))))
      (catch ExecutionException e (throw (.getCause e))))))

(defn close [{:keys [^RedisClient client ^ExecutorService threads]}]
  (.shutdownNow threads)
  (.close client))
