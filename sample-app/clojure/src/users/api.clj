(ns users.api
  "What is answered to which request."
  (:require [clojure.data.json :as json]
            [clojure.java.io :as io]
            [clojure.string :as str]
            [users.cache :as cache]
            [users.db :as db]
            [users.errors :as errors]
            [users.input :as input]
            [users.log :as log]
            [users.observe :as observe]
            [users.users :as users])
  (:import (clojure.lang ExceptionInfo)
           (java.io InputStream)
           (java.net URLDecoder URLEncoder)))

(def ^:private max-body (* 64 1024)) ; bytes

(defn- json-response [status body]
  {:status status
   :headers {"Content-Type" "application/json"}
   :body (json/write-str body :escape-slash false :escape-unicode false)})

(defn- header [response name value] (assoc-in response [:headers name] value))

(defn- error-response [status id message]
  (cond-> (json-response status {:id id :message message})
    (= status 503) (header "Retry-After" "1")))

(defn- error-of
  "The one place where errors become answers. Those that nobody meant for a client
  are logged, not shown."
  [e]
  (let [{:keys [status id]} (ex-data e)]
    (cond
      (and status id) (error-response status id (ex-message e))
      (db/failure? e) (do (log/error "Postgres did not do it" {:error (str e)})
                          (error-response 503 "unavailable" "The users cannot be reached right now; try again."))
      :else (do (log/error "request failed" {:error (pr-str (Throwable->map e))})
                (error-response 500 "internal_error" "Something went wrong here; the log has it under the X-Request-Id.")))))

(defmacro ^:private answering [& body]
  `(try ~@body (catch Exception e# (error-of e#))))

(defn- etag [user] (str \" (:version user) \"))

(defn- user-response [status user] (header (json-response status user) "ETag" (etag user)))

(defn- number
  "The number from 0 that a text is, or nil."
  [text]
  (when (re-matches #"[0-9]{1,19}" (or text "")) (parse-long text)))

(defn- id-of [text]
  (let [id (number text)]
    (if (and id (pos? (long id))) id (errors/not-found))))

(defn- match
  "The version that a user must have to be changed: nil for any."
  [{:keys [headers]}]
  (let [text (get headers "if-match" "")]
    (when-not (#{"" "*"} text)
      (if-let [[_ version] (re-matches #"\"?([1-9][0-9]{0,17})\"?" text)]
        (parse-long version)
        (errors/stale)))))

(defn- read-input [{:keys [^InputStream body]}]
  (let [text (.readNBytes body (inc (long max-body)))]
    (when (< (long max-body) (alength text))
      (.skip body (* 1024 1024)) ; who is told should have been able to say it all
      (errors/too-large))
    (input/parse text)))

(defn- create [{:keys [users]} request _]
  (let [user (users/create users (read-input request))]
    (header (user-response 201 user) "Location" (str "/users/" (:id user)))))

(defn- fetch [{:keys [users]} {:keys [headers]} text]
  (let [id (id-of text)
        look (cache/look (:cache users) id)
        response (answering
                  (let [user (or (:user look) (users/fetch users look id))]
                    (if (= (etag user) (get headers "if-none-match"))
                      {:status 304 :headers {"ETag" (etag user)}}
                      (user-response 200 user))))]
    (header response "X-Cache" (:how look))))

(defn- replace-user [{:keys [users]} request text]
  (let [id (id-of text), version (match request)]
    (user-response 200 (users/replace-user users id version (read-input request)))))

(defn- delete [{:keys [users]} request text]
  (users/delete users (id-of text) (match request))
  {:status 204})

(defn- query-params [{:keys [query-string]}]
  (try
    (into {} (for [pair (str/split (or query-string "") #"&")]
               (mapv (fn [^String text] (URLDecoder/decode text "UTF-8"))
                     (take 2 (conj (str/split pair #"=" 2) "")))))
    (catch IllegalArgumentException _ (errors/invalid "the query has a % that begins nothing"))))

(defn- within [params name otherwise least most]
  (let [text (get params name "")
        value (if (= text "") otherwise (number text))]
    (if (and value (<= least value most))
      value
      (errors/invalid (str name " must be a number from " least " to " most)))))

(defn- page
  "Answers a page of users. The Link names the last id seen, so that what is added
  meanwhile shifts nothing."
  [{:keys [users]} request _]
  (let [params (query-params request)
        limit (within params "limit" 20 1 100)
        after (within params "after" 0 0 Long/MAX_VALUE)
        text (get params "q" "")
        _ (when (or (< 100 (input/bytes-of text)) (input/control? text))
            (errors/invalid "q must be a text of at most 100 bytes"))
        found (users/page users after (inc (long limit)) text)
        shown (take limit found)]
    (cond-> (json-response 200 (vec shown))
      (< (long limit) (count found))
      (header "Link" (str "</users?limit=" limit "&after=" (:id (last shown))
                          (when (not= text "") (str "&q=" (URLEncoder/encode ^String text "UTF-8")))
                          ">; rel=\"next\"")))))

(defn- health
  "Fails without Postgres. Without the cache the app is merely slower."
  [{:keys [users]} _ _]
  (let [state (cache/state (:cache users))]
    (try
      (users/ping users)
      (json-response 200 {:status "ok" :postgres "ok" :cache state})
      (catch Exception e
        (log/warn "Postgres does not answer" {:error (str e)})
        (header (json-response 503 {:status "failing" :postgres "down" :cache state}) "Retry-After" "1")))))

(def ^:private html
  (delay {:status 200 :headers {"Content-Type" "text/html; charset=utf-8"} :body (slurp (io/resource "page.html"))}))

(def ^:private routes
  {"/" {:get (fn [_ _ _] @html)}
   "/health" {:get health}
   "/metrics" {:get (fn [{:keys [metrics]} _ _] (observe/scrape metrics))}
   "/users" {:get page :post create}
   "/users/{id}" {:get fetch :put replace-user :delete delete}})

(defn- route-of
  "A path as openapi.yaml writes it, or nil; and the id in it."
  [uri]
  (if-let [[_ id] (re-matches #"/users/([^/]+)" uri)]
    ["/users/{id}" id]
    [(when (contains? routes uri) uri) nil]))

(defn- answer [app {:keys [request-method uri] :as request}]
  (let [[route id] (route-of uri)
        handler (get-in routes [route (if (= request-method :head) :get request-method)])]
    (cond
      handler (assoc (answering (handler app request id)) :route route)
      route (assoc (error-response 405 "method_not_allowed" "The path has no such method.") :route route)
      :else (error-response 404 "not_found" "There is no such path."))))

(defn handler
  "The app as a Ring handler."
  [{:keys [metrics] :as app}]
  (observe/wrap (fn [request] (answer app request)) metrics))
