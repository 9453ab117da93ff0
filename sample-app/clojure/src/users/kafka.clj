(ns users.kafka
  "How to reach the brokers, as Heroku's variables tell it."
  (:require [clojure.string :as str])
  (:import (java.net URI)
           (java.nio ByteBuffer)
           (java.util Base64 HexFormat Map)
           (org.apache.kafka.clients.producer KafkaProducer ProducerRecord)
           (org.apache.kafka.common.serialization StringSerializer)))

(defn- broker [text]
  (let [uri (URI. (str/trim text))]
    (when-not (and (#{"kafka" "kafka+ssl"} (.getScheme uri)) (.getHost uri) (pos? (.getPort uri)))
      (throw (IllegalArgumentException. "KAFKA_URL is not a list of kafka:// or kafka+ssl:// URLs")))
    uri))

(defn pkcs8
  "Heroku's keys may be in PKCS #1, which Java does not read: PKCS #8 is that in an
  envelope."
  [^String pem]
  (if-not (str/includes? pem "BEGIN RSA PRIVATE KEY")
    pem
    (let [^bytes key (.decode (Base64/getMimeDecoder) ^String (str/replace pem #"-----[^-]+-----" ""))
          ^bytes rsa (.parseHex (HexFormat/of) "020100300d06092a864886f70d0101010500") ; version 0, rsaEncryption
          envelope (doto (ByteBuffer/allocate (+ 8 (alength rsa) (alength key)))
                     (.putShort (unchecked-short 0x3082)) (.putShort (+ 4 (alength rsa) (alength key))) (.put rsa)
                     (.putShort (unchecked-short 0x0482)) (.putShort (alength key)) (.put key))]
      (str "-----BEGIN PRIVATE KEY-----\n" (.encodeToString (Base64/getMimeEncoder) (.array envelope)) "\n-----END PRIVATE KEY-----\n"))))

(defn- ssl
  "Shows the client's certificate and wants the brokers' to be signed by
  KAFKA_TRUSTED_CERT. Their names are not checked: Heroku's brokers have
  certificates without the names they are reached by.
  https://devcenter.heroku.com/articles/kafka-on-heroku"
  [env]
  {"security.protocol" "SSL"
   "ssl.endpoint.identification.algorithm" ""
   "ssl.truststore.type" "PEM"
   "ssl.truststore.certificates" (get env "KAFKA_TRUSTED_CERT" "")
   "ssl.keystore.type" "PEM"
   "ssl.keystore.certificate.chain" (get env "KAFKA_CLIENT_CERT" "")
   "ssl.keystore.key" (pkcs8 (get env "KAFKA_CLIENT_CERT_KEY" ""))})

(defn from
  "The topic and how to reach it, or nil where KAFKA_URL is not set."
  [env]
  (when-not (str/blank? (get env "KAFKA_URL"))
    (let [brokers (map broker (str/split (env "KAFKA_URL") #","))]
      {:topic (str (get env "KAFKA_PREFIX") "users")
       :config (merge {"bootstrap.servers" (str/join "," (map (fn [^URI uri] (str (.getHost uri) ":" (.getPort uri))) brokers))
                       "client.id" "users"
                       "acks" "all"
                       "linger.ms" "0"
                       "buffer.memory" "1048576" ; of one event at a time
                       "max.block.ms" "5000"
                       "request.timeout.ms" "5000"
                       "delivery.timeout.ms" "10000"}
                      (when (some (fn [^URI uri] (= "kafka+ssl" (.getScheme uri))) brokers) (ssl env)))})))

(defn connect ^KafkaProducer [{:keys [config]}]
  (KafkaProducer. ^Map config (StringSerializer.) (StringSerializer.)))

(defn send!
  "Returns once the record is acknowledged."
  [^KafkaProducer producer topic key value headers]
  (let [message (ProducerRecord. ^String topic key value)]
    (doseq [[^String name ^String text] headers]
      (.add (.headers message) name (.getBytes text "UTF-8")))
    (.get (.send producer message))))
