(ns users.outbox
  "Holds the events that Kafka does not have yet. A change writes its event in its
  own transaction, so that there is one for each change that was made and none for
  those that were not; publishing gives them to Kafka, whenever that is there."
  (:require [clojure.data.json :as json]
            [clojure.java.jdbc :as jdbc]
            [users.db :as db]
            [users.kafka :as kafka]
            [users.log :as log])
  (:import (java.time Duration)
           (org.apache.kafka.clients.producer KafkaProducer)))

(def ^:private poll-every 200) ; ms
(def ^:private retry-every 1000)

(defn add
  "Writes an event that is there when tx commits. Without Kafka none is written."
  [{:keys [kafka]} tx type user]
  (when kafka
    (jdbc/execute! tx ["INSERT INTO outbox (type, user_id, user_json, traceparent, request_id) VALUES (?, ?, ?, ?, ?)"
                       type (:id user) (json/write-str user) (:traceparent log/*request*) (:request_id log/*request*)])))

(defn length
  "How many events wait; not a number without Postgres."
  [{:keys [db]}]
  (try
    (double (db/value db "SELECT count(*) FROM outbox"))
    (catch Exception _ ##NaN)))

(defn- publish-some
  "Publishes the oldest events, each after the one before it has been acknowledged
  and removed. Should it die in between, that one is published again."
  [{:keys [topic]} connection producer]
  (let [oldest (jdbc/query connection ["SELECT * FROM outbox ORDER BY id LIMIT 100"])]
    (doseq [{:keys [id type user_id user_json request_id traceparent at]} oldest]
      (kafka/send! producer topic (str user_id)
                   (json/write-str {:id id :type type :user (json/read-str user_json) :request_id request_id :at (db/instant at)})
                   {"type" type "traceparent" traceparent})
      (jdbc/execute! connection ["DELETE FROM outbox WHERE id = ?" id]))
    (count oldest)))

(defn- publish
  "Publishes until something fails. The lock that makes this process the one is its
  connection's, and goes with it."
  [{:keys [own kafka]}]
  (jdbc/with-db-connection [connection own]
    (when (db/value connection "SELECT pg_try_advisory_lock(hashtext('outbox'))")
      (let [^KafkaProducer producer (kafka/connect kafka)]
        (try
          (while true
            (when (zero? (publish-some kafka connection producer))
              (Thread/sleep (long poll-every))))
          (finally (.close producer Duration/ZERO)))))))

(defn- keep-publishing [outbox]
  (while true
    (try
      (publish outbox)
      (catch Exception e
        (log/warn "events stay in the outbox for now" {:error (str e)})))
    (Thread/sleep (long retry-every))))

(defn start
  "Gives events to Kafka as long as the process lives, in one process at a time."
  [outbox]
  (when (:kafka outbox)
    (doto (Thread. ^Runnable (fn [] (keep-publishing outbox)) "outbox")
      (.setDaemon true)
      (.start))))
