(ns users.db
  "Postgres."
  (:require [clojure.java.io :as io]
            [clojure.java.jdbc :as jdbc]
            [clojure.string :as str])
  (:import (java.net URI)
           (java.sql Connection SQLException Timestamp)
           (java.time Duration)
           (javax.sql DataSource)
           (org.apache.commons.dbcp2 DataSourceConnectionFactory PoolableConnectionFactory PoolingDataSource)
           (org.apache.commons.pool2.impl GenericObjectPool GenericObjectPoolConfig)
           (org.postgresql.ds PGSimpleDataSource)))

(defn at
  "Single connections to the database at a URL."
  ^DataSource [^String url]
  (let [source (PGSimpleDataSource.)]
    (try
      (let [uri (URI. url)
            [user password] (some-> (.getUserInfo uri) (str/split #":" 2))]
        (.setUrl source (str "jdbc:postgresql://" (str/replace (.getRawAuthority uri) #"^.*@" "") (.getRawPath uri)
                             (some->> (.getRawQuery uri) (str "?"))))
        (when user (.setUser source user))
        (when password (.setPassword source password)))
      (catch Exception _ ; which would show the password
        (throw (IllegalArgumentException. "DATABASE_URL is not a postgres:// URL"))))
    (doto source
      (.setOptions "-c statement_timeout=5s")
      (.setConnectTimeout 3)
      (.setSocketTimeout 10)))) ; where Postgres itself no longer keeps time

(defn pool
  "The connections of all requests: who comes first has one first, and hears at once
  where there is none to be had. An essential-0 database takes 20, and while a
  release is rolled out two dynos share them. The outbox has one more."
  ^PoolingDataSource [source]
  (let [factory (PoolableConnectionFactory. (DataSourceConnectionFactory. source) nil)
        config (doto (GenericObjectPoolConfig.)
                 (.setMaxTotal 8)
                 (.setMaxIdle 8)
                 (.setMaxWait (Duration/ofSeconds 10))
                 (.setFairness true)
                 (.setJmxEnabled false))
        pool (GenericObjectPool. factory config)]
    (.setPool factory pool)
    (PoolingDataSource. pool)))

(defn failure?
  "Whether Postgres is what failed: what java.jdbc throws when it cannot even
  roll back is no SQLException."
  [e]
  (or (instance? SQLException e) (contains? (ex-data e) :rollback)))

(defn value [db sql] (first (vals (first (jdbc/query db [sql])))))

(defn instant [^Timestamp at] (str (.toInstant at)))

(defn run-script
  "Runs one of the app's scripts: all of it or nothing, any number of times."
  [^DataSource source script]
  (with-open [^Connection tx (.getConnection source)
              statement (.createStatement tx)]
    (.setAutoCommit tx false)
    (.execute statement ^String (slurp (io/resource script)))
    (.commit tx)))
