(ns users.http
  "Ring's requests and responses on Jetty: a handler is a function from the one map
  to the other. https://github.com/ring-clojure/ring/blob/master/SPEC.md"
  (:require [clojure.string :as str])
  (:import (java.nio ByteBuffer)
           (org.eclipse.jetty.http HttpField)
           (org.eclipse.jetty.server ConnectionFactory Handler Handler$Abstract HttpConfiguration HttpConnectionFactory Request Response
                                     Server ServerConnector)
           (org.eclipse.jetty.server.handler GracefulHandler)
           (org.eclipse.jetty.util Callback)
           (org.eclipse.jetty.util.thread QueuedThreadPool ThreadPool)))

(defn- request-map [^Request request]
  (let [uri (.getHttpURI request)]
    {:request-method (keyword (str/lower-case (.getMethod request)))
     :uri (.getPath uri)
     :query-string (.getQuery uri)
     :headers (into {} (map (fn [^HttpField field] [(.getLowerCaseName field) (.getValue field)])) (.getHeaders request))
     :body (Request/asInputStream request)}))

(defn- respond [{:keys [status headers ^String body]} ^Response response ^Callback callback]
  (.setStatus response status)
  (doseq [[^String name ^String value] headers]
    (.put (.getHeaders response) name value))
  (.write response true (ByteBuffer/wrap (.getBytes (or body "") "UTF-8")) callback))

(defn- jetty-handler ^Handler [handler]
  (proxy [Handler$Abstract] []
    (handle [request response callback]
      (respond (handler (request-map request)) response callback)
      true)))

(defn start
  "Serves. To stop the server waits for requests under way."
  ^Server [handler port]
  (let [server (Server. ^ThreadPool (QueuedThreadPool. 200)) ; of the 256 threads of a dyno, some of which are the JVM's
        factory (HttpConnectionFactory. (doto (HttpConfiguration.) (.setSendServerVersion false)))
        connector (doto (ServerConnector. server ^"[Lorg.eclipse.jetty.server.ConnectionFactory;" (into-array ConnectionFactory [factory]))
                    (.setPort port)
                    (.setAcceptQueueSize 1024) ; by default 50, and a burst of more is refused
                    (.setIdleTimeout 90000))] ; ms, longer than the router keeps connections
    (doto server
      (.addConnector connector)
      (.setHandler ^Handler (GracefulHandler. (jetty-handler handler)))
      (.setStopTimeout 25000) ; ms; Heroku kills after 30 s
      (.start))))
