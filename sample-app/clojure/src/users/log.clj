(ns users.log
  "Logs as JSON, one object a line, with the request that each is about."
  (:require [clojure.data.json :as json])
  (:import (java.time Instant)))

(def ^:dynamic *request*
  "What goes with a request wherever it leads, into the log and into its event:
  :request_id, :trace_id and :traceparent."
  nil)

(def levels ["debug" "info" "warn" "error"])

(def ^:private threshold
  (delay (.indexOf ^java.util.List levels (or (System/getenv "LOG_LEVEL") "info"))))

(defn- line [level msg fields]
  (when (>= (.indexOf ^java.util.List levels level) (long @threshold))
    (let [line (concat {:time (str (Instant/now)) :level level :msg msg}
                       (select-keys *request* [:request_id :trace_id])
                       fields)]
      (.println System/out (json/write-str (apply array-map (mapcat identity line)) :escape-slash false)))))

(defn info [msg fields] (line "info" msg fields))
(defn warn [msg fields] (line "warn" msg fields))
(defn error [msg fields] (line "error" msg fields))
