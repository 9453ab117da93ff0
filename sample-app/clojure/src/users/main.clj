(ns users.main
  "A web service that creates, reads, updates, deletes, lists and searches users.
  Postgres is the only truth; Redis, before it, makes reads fast and can never make
  them wrong.

    users-standalone.jar           serve HTTP on $PORT
    users-standalone.jar migrate   bring the schema up to date (the release phase)
    users-standalone.jar seed      add users to look at (postdeploy)"
  (:require [users.api :as api]
            [users.cache :as cache]
            [users.db :as db]
            [users.http :as http]
            [users.kafka :as kafka]
            [users.log :as log]
            [users.observe :as observe]
            [users.outbox :as outbox])
  (:import (org.eclipse.jetty.server Server))
  (:gen-class))

(defn- stop-at-signal
  "Stops what is in an atom, the newest first, when the process is told to end."
  [stops]
  (.addShutdownHook (Runtime/getRuntime)
                    (Thread. ^Runnable (fn []
                                         (doseq [stop @stops] (stop))
                                         (.halt (Runtime/getRuntime) 0))))) ; it would be 143, of the signal

(defn- serve [env source]
  (let [stops (atom ())
        _ (stop-at-signal stops)
        pool (db/pool source)
        _ (swap! stops conj #(.close pool))
        db {:datasource pool}
        cache (cache/open db (env "REDIS_URL") (env "REDIS_READER_URL"))
        _ (swap! stops conj #(cache/close cache))
        outbox {:db db :own {:datasource source} :kafka (kafka/from env)}
        app {:users {:db db :cache cache :outbox outbox} :metrics (observe/metrics outbox)}
        port (parse-long (get env "PORT" "5000"))
        ^Server server (http/start (api/handler app) port)]
    (swap! stops conj #(.stop server))
    (outbox/start outbox)
    (log/info "serving" {:port port})))

(defn- run [env args]
  (when-not (some #{(get env "LOG_LEVEL" "info")} log/levels)
    (throw (IllegalArgumentException. "LOG_LEVEL is not debug, info, warn or error")))
  (when-not (env "DATABASE_URL")
    (throw (IllegalArgumentException. "DATABASE_URL is not set; attach a database (heroku addons:create heroku-postgresql)")))
  (let [source (db/at (env "DATABASE_URL"))]
    (case (vec args)
      [] (serve env source)
      ["migrate"] (db/run-script source "schema.sql")
      ["seed"] (db/run-script source "seed.sql")
      (throw (IllegalArgumentException. (str "there is no command " (pr-str args) "; use migrate or seed, or none to serve"))))))

(defn -main [& args]
  (try
    (run (into {} (System/getenv)) args)
    (catch Exception e
      (log/error "stopped" {:error (str e)})
      (.halt (Runtime/getRuntime) 1)))) ; without what is done at a signal
