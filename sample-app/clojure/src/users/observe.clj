(ns users.observe
  "Request ids, traces, metrics, and a line in the log for each request."
  (:require [clojure.string :as str]
            [users.log :as log]
            [users.outbox :as outbox])
  (:import (io.prometheus.metrics.core.datapoints CounterDataPoint DistributionDataPoint)
           (io.prometheus.metrics.core.metrics Counter GaugeWithCallback GaugeWithCallback$Callback Histogram)
           (io.prometheus.metrics.expositionformats PrometheusTextFormatWriter)
           (io.prometheus.metrics.model.registry PrometheusRegistry)
           (java.io ByteArrayOutputStream)
           (java.security SecureRandom)
           (java.util HexFormat)
           (java.util.function Consumer)))

(defn- random-hex [^SecureRandom random n]
  (let [bytes (byte-array n)]
    (.nextBytes random bytes)
    (.formatHex (HexFormat/of) bytes)))

(defn- context
  "A trace that came along goes on; else one begins here.
  https://www.w3.org/TR/trace-context/"
  [random {id "x-request-id" parent "traceparent"}]
  (let [[_ trace span] (re-matches #"00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}" (or parent ""))
        parent (if (and trace (not (re-matches #"0+" trace)) (not (re-matches #"0+" span)))
                 parent
                 (str "00-" (random-hex random 16) "-" (random-hex random 8) "-01"))]
    {:request_id (if (re-matches #"[A-Za-z0-9._-]{1,128}" (or id "")) id (str (random-uuid)))
     :traceparent parent
     :trace_id (subs parent 3 35)}))

(defn- labels ^"[Ljava.lang.String;" [& values] (into-array String values))

(defn metrics
  "What GET /metrics shows."
  [outbox]
  (let [registry (PrometheusRegistry.)]
    (.. (GaugeWithCallback/builder)
        (callback (reify Consumer
                    (accept [_ gauge] (.call ^GaugeWithCallback$Callback gauge (outbox/length outbox) (labels)))))
        (name "outbox_events") (help "Events that Kafka does not have yet; NaN without Postgres.") (register registry))
    {:registry registry
     :requests (.. (Counter/builder) (name "http_requests_total") (help "Requests answered.")
                   (labelNames (labels "method" "route" "status")) (register registry))
     :duration (.. (Histogram/builder) classicOnly (labelNames (labels "method" "route"))
                   (name "http_request_duration_seconds") (help "Time until the answer.") (register registry))
     :reads (.. (Counter/builder) (name "cache_reads_total") (help "Reads of a user: hit, miss or bypass.")
                (labelNames (labels "result")) (register registry))}))

(defn scrape [{:keys [^PrometheusRegistry registry]}]
  (let [text (ByteArrayOutputStream.)]
    (.write (PrometheusTextFormatWriter/create) text (.scrape registry))
    {:status 200 :headers {"Content-Type" PrometheusTextFormatWriter/CONTENT_TYPE} :body (.toString text "UTF-8")}))

(defn- observe [{:keys [^Counter requests ^Histogram duration ^Counter reads]} request {:keys [status headers route]} nanos]
  (let [method (str/upper-case (name (:request-method request)))
        route (or route "other")
        cache (get headers "X-Cache" "")]
    (.inc ^CounterDataPoint (.labelValues requests (labels method route (str status))))
    (.observe ^DistributionDataPoint (.labelValues duration (labels method route)) (/ nanos 1e9))
    (when (not= cache "")
      (.inc ^CounterDataPoint (.labelValues reads (labels cache))))
    (log/info "request" {:method method :path (:uri request) :route route :status status :ms (/ nanos 1e6) :cache cache})))

(defn wrap
  "Gives each request its ids, counts it, and logs how it ended."
  [handler metrics]
  (let [random (SecureRandom.)]
    (fn [request]
      (let [started (System/nanoTime)
            context (context random (:headers request))]
        (binding [log/*request* context]
          (let [response (assoc-in (handler request) [:headers "X-Request-Id"] (:request_id context))]
            (observe metrics request response (- (System/nanoTime) started))
            response))))))
