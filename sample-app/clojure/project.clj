(defproject users "1"
  :description "Users with create, read, update, delete, list and search"
  :dependencies [[org.clojure/clojure "1.12.0"]
                 [org.clojure/data.json "2.5.1"]
                 [org.clojure/java.jdbc "0.7.12"]
                 [org.eclipse.jetty/jetty-server "12.1.14"]
                 [org.postgresql/postgresql "42.7.14"]
                 [org.apache.commons/commons-dbcp2 "2.14.0" :exclusions [org.apache.commons/commons-pool2]]
                 [redis.clients/jedis "8.0.2"]
                 ;; 10 MB to compress events, which are small and go one at a time
                 [org.apache.kafka/kafka-clients "4.4.0" :exclusions [com.github.luben/zstd-jni at.yawk.lz4/lz4-java org.xerial.snappy/snappy-java]]
                 [io.prometheus/prometheus-metrics-core "1.10.0"]
                 [io.prometheus/prometheus-metrics-exposition-textformats "1.10.0"]
                 ;; what goes wrong in libraries comes back as an exception, and is logged where that matters
                 [org.slf4j/slf4j-nop "2.0.17"]]
  :global-vars {*warn-on-reflection* true}
  :filespecs [{:type :paths :paths ["schema.sql" "seed.sql" "page.html"]}]
  :main users.main
  :uberjar-name "users-standalone.jar"
  :profiles {:uberjar {:aot :all}})
