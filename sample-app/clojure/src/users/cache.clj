(ns users.cache
  "Keeps users in Redis before Postgres, for speed alone: no read that begins after
  a change was acknowledged shows what was before it, whatever becomes of Redis.
  The README of the folder above tells why.

  - An entry says in which epoch and in which life of the server it was made. Only
    those of this epoch and this life are believed, so that a server that comes
    back with what it once saved has nothing.
  - A reader that fills the cache takes a lease first, and then holds a lock on the
    row. A writer, which has the row for itself, deletes entry and lease before it
    commits: what was read before can no longer be put.
  - Where Redis does not say that it has deleted, the writer's transaction begins a
    new epoch, and the change is acknowledged only when nobody trusts the old one
    any more."
  (:require [clojure.data.json :as json]
            [clojure.java.jdbc :as jdbc]
            [users.db :as db]
            [users.log :as log]
            [users.redis :as redis])
  (:import (java.util List)
           (redis.clients.jedis Pipeline Protocol$Command RedisClient Response)
           (redis.clients.jedis.exceptions JedisDataException JedisException)
           (redis.clients.jedis.params SetParams)))

(def ^:private entry-ttl 60000) ; all in ms
(def ^:private lease-ttl 2000)
(def epoch-trust 500)

(def ^:private ^String put
  "Writes an entry if the lease for it is still there."
  "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
redis.call('DEL', KEYS[1])
return 1")

(defn open
  "The cache at a URL, read through another if that is set, whose credential may be
  unable to write. Without a URL every look is a bypass."
  [db url reader-url]
  (cond-> {:db db :known (atom nil)}
    url (assoc :writer (redis/open "REDIS_URL" url)
               :reader (if reader-url (redis/open "REDIS_READER_URL" reader-url) (redis/open "REDIS_URL" url)))))

(defn close [{:keys [reader writer]}]
  (when reader
    (redis/close reader)
    (redis/close writer)))

(defn- entry-key ^String [id] (str "user:" id))
(defn- lease-key ^String [id] (str "lease:" id))

(defn- epoch
  "The current epoch, or one that was it less than epoch-trust ago, by when
  Postgres was asked, not when it answered."
  [{:keys [db known]}]
  (let [trusted? (fn [epoch] (< (- (System/nanoTime) (long (:asked epoch))) (* 1000000 (long epoch-trust))))
        epoch @known]
    (if (and epoch (trusted? epoch))
      (:id epoch)
      (jdbc/with-db-connection [connection db]
        (let [asked (System/nanoTime)
              id (db/value connection "SELECT epoch::text FROM cache_epoch")]
          (reset! known {:id id :asked asked})
          id)))))

(defn- value
  "nil if the server refused, which is an answer, too."
  [^Response response]
  (try (.get response) (catch JedisDataException _ nil)))

(defn- ask
  "Sends a command and the question which life of the server answers it, on one
  connection. Returns both answers."
  [client command]
  (redis/ask client
             (fn [^RedisClient client]
               (with-open [pipe (.pipelined client)]
                 (let [info (.sendCommand pipe Protocol$Command/INFO ^"[Ljava.lang.String;" (into-array ["server"]))
                       answer (command pipe)]
                   (.sync pipe)
                   [(or (second (re-find #"run_id:(\w+)" (String. (bytes (or (value info) (byte-array 0)))))) "")
                    (value answer)])))))

(defn- parse [text]
  (try (json/read-str (or text "null") :key-fn keyword) (catch Exception _ nil)))

(defn look
  "Looks for a user. :how is what X-Cache says, :user that of a hit, :lease for the
  one reader of a miss that is to fill. Fails only without Postgres, which has the
  epoch."
  [{:keys [reader writer] :as cache} id]
  (if-not reader
    {:how "bypass"}
    (let [epoch (epoch cache)
          [life text :as found] (try
                                  (ask reader (fn [^Pipeline pipe] (.get pipe (entry-key id))))
                                  (catch JedisException e
                                    (log/warn "the cache does not answer" {:error (str e)})))
          entry (parse text)]
      (cond
        (nil? found) {:how "bypass"}
        (and (map? entry) (= epoch (:epoch entry)) (= life (:life entry)) (= id (:id (:user entry)))) {:how "hit" :user (:user entry)}
        :else
        (let [token (str (random-uuid))
              params (.. (SetParams/setParams) nx (px (long lease-ttl)))
              [life leased] (try
                              (ask writer (fn [^Pipeline pipe] (.set pipe (lease-key id) token ^SetParams params)))
                              (catch JedisException _ nil))]
          {:how "miss" :epoch epoch :life life :lease (when (= leased "OK") token)})))))

(defn fill
  "Puts in what was read from Postgres after a look that got the lease, while the
  row is locked."
  [{:keys [writer]} {:keys [lease epoch life]} {:keys [id] :as user}]
  (try
    (let [entry (json/write-str {:epoch epoch :life life :user user})]
      (redis/ask writer (fn [^RedisClient client]
                          (.eval client put ^List (list (lease-key id) (entry-key id)) ^List (list lease entry (str entry-ttl))))))
    (catch JedisException e
      (log/warn "the cache was not filled" {:user id :error (str e)}))))

(defn forget
  "Deletes a user from the cache, before tx commits its change. Returns whether
  Redis was told. If not, the commit begins a new epoch, which is to be awaited."
  [{:keys [writer]} tx id]
  (try
    (when writer
      (redis/ask writer (fn [^RedisClient client]
                          (.del client ^"[Ljava.lang.String;" (into-array [(entry-key id) (lease-key id)])))))
    true
    (catch JedisException e
      (log/warn "the cache cannot be told to forget; a new epoch begins" {:user id :error (str e)})
      (jdbc/execute! tx ["UPDATE cache_epoch SET epoch = gen_random_uuid()"])
      false)))

(defn state
  "off, ok or down"
  [{:keys [reader writer]}]
  (if-not reader
    "off"
    (try
      (doseq [client [reader writer]]
        (redis/ask client (fn [^RedisClient client] (.ping client))))
      "ok"
      (catch JedisException _ "down"))))
