(ns users.input
  "What a client may say of a user."
  (:require [clojure.data.json :as json]
            [clojure.string :as str]
            [users.errors :as errors])
  (:import (java.nio ByteBuffer)
           (java.nio.charset CharacterCodingException StandardCharsets)))

(defn control? [text] (boolean (re-find #"\p{Cc}" text)))
(defn bytes-of [^String text] (count (.getBytes text StandardCharsets/UTF_8)))

(defn- trim [text] (str/replace text #"^\p{IsWhite_Space}+|(?<!\p{IsWhite_Space})\p{IsWhite_Space}+$" ""))

(def ^:private address
  (let [atom #"[^\p{Z}\p{Cc}@\"(),.:;<>\[\\\]]+"
        atoms (str atom "(\\." atom ")*")]
    (re-pattern (str atoms "@" atoms))))

(defn clean
  "The user as it is stored, or what is wrong with it."
  [{:strs [name email]}]
  (let [^String name (trim (or name "")), email (trim (or email ""))]
    (cond
      (= name "") (errors/invalid "name is required")
      (< 100 (.codePointCount name 0 (count name))) (errors/invalid "name is longer than 100 characters")
      (control? name) (errors/invalid "name holds a control character")
      (= email "") (errors/invalid "email is required")
      (or (< 254 (bytes-of email)) (not (re-matches address email)))
      (errors/invalid "email is not an address like user@example.com")
      :else {:name name :email email})))

(defn- decode [^bytes body]
  (try
    (str (.decode (.newDecoder StandardCharsets/UTF_8) (ByteBuffer/wrap body)))
    (catch CharacterCodingException _ (errors/bad-request "The body is not UTF-8."))))

(defn- read-json [text]
  (try
    (json/read-str (str/replace text #"(?<![ \t\r\n])[ \t\r\n]+$" "") :extra-data-fn json/on-extra-throw)
    (catch Exception _ nil)
    (catch StackOverflowError _ nil))) ; it is nested too deep to be one of a user

(defn- text?
  "Half of a surrogate pair is none."
  [value]
  (and (string? value) (.canEncode (.newEncoder StandardCharsets/UTF_8) ^String value)))

(defn parse
  "Reads a body, or says what is wrong with it."
  [body]
  (let [object (read-json (decode body))]
    (when-not (and (map? object)
                   (every? #{"name" "email"} (keys object))
                   (every? #(or (nil? %) (text? %)) (vals object)))
      (errors/bad-request "Send one JSON object like {\"name\": \"Ada\", \"email\": \"ada@example.com\"}."))
    (clean object)))
