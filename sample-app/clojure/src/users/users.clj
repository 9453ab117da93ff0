(ns users.users
  "The one place that changes users, so that no change forgets the cache or its
  event."
  (:require [clojure.java.jdbc :as jdbc]
            [clojure.string :as str]
            [users.cache :as cache]
            [users.db :as db]
            [users.errors :as errors]
            [users.outbox :as outbox])
  (:import (java.sql SQLException)))

(def ^:private columns "id, name, email, version, created_at, updated_at")
(def ^:private unique-violation "23505") ; a SQLSTATE

(defn- user [row]
  (-> row (update :created_at db/instant) (update :updated_at db/instant)))

(defn- one [db sql & args]
  (try
    (or (first (jdbc/query db (cons sql args) {:row-fn user}))
        (errors/not-found))
    (catch SQLException e
      (if (= unique-violation (.getSQLState e)) (errors/email-taken) (throw e)))))

(defn create
  "Adds a user. The cache cannot know of it yet."
  [{:keys [db outbox]} {:keys [name email]}]
  (jdbc/with-db-transaction [tx db]
    (let [user (one tx (str "INSERT INTO users (name, email) VALUES (?, ?) RETURNING " columns) name email)]
      (outbox/add outbox tx "user.created" user)
      user)))

(defn fetch
  "Reads a user after a look into the cache, which did not find it."
  [{:keys [db cache]} look id]
  (if-not (:lease look)
    (one db (str "SELECT " columns " FROM users WHERE id = ?") id)
    ;; The row stays as it is until the cache has it, and waits for who is
    ;; changing it.
    (jdbc/with-db-transaction [tx db]
      (let [user (one tx (str "SELECT " columns " FROM users WHERE id = ? FOR SHARE") id)]
        (cache/fill cache look user)
        user))))

(defn contains
  "The LIKE pattern of what holds a text."
  [text]
  (str "%" (str/replace text #"[\\%_]" #(str "\\" %)) "%"))

(defn page
  "Up to limit users after an id whose name or email holds the text, in the order
  they were created. A list is never cached: it would have to be forgotten with
  every change of any user."
  [{:keys [db]} after limit text]
  (let [pattern (contains text)]
    (jdbc/query db [(str "SELECT " columns " FROM users WHERE id > ? AND (name ILIKE ? OR email ILIKE ?) ORDER BY id LIMIT ?")
                    after pattern pattern limit]
                {:row-fn user})))

(defn- change
  "Runs a statement on one user, writes its event, and makes the cache forget the
  user. match is the version it must have, or nil for any."
  [{:keys [db cache outbox]} id match type sql & args]
  (let [[user told?] (jdbc/with-db-transaction [tx db]
                       (let [old (one tx (str "SELECT " columns " FROM users WHERE id = ? FOR UPDATE") id)]
                         (when (and match (not= match (:version old)))
                           (errors/stale))
                         (let [user (apply one tx (str sql " RETURNING " columns) args)]
                           (outbox/add outbox tx type user)
                           [user (cache/forget cache tx id)])))]
    (when-not told?
      (Thread/sleep (long cache/epoch-trust)))
    user))

(defn replace-user [users id match {:keys [name email]}]
  (change users id match "user.updated"
          "UPDATE users SET name = ?, email = ?, version = version + 1, updated_at = now() WHERE id = ?" name email id))

(defn delete [users id match]
  (change users id match "user.deleted" "DELETE FROM users WHERE id = ?" id))

(defn ping
  "Fails unless Postgres answers and has the schema."
  [{:keys [db]}]
  (jdbc/query db ["SELECT FROM users LIMIT 0"]))
