;; Works out what a call of Clojure's command runs: plan.clj FILE OPTION ARG...
;; FILE gets the arguments of java, one a line; none where there is nothing to
;; run. Runs in the JVM of tools.deps.
(require '[clojure.edn :as edn]
         '[clojure.java.io :as io]
         '[clojure.string :as str]
         '[clojure.tools.deps :as deps])

(defn fail [message]
  (binding [*out* *err*] (println message))
  (System/exit 1))

(def project (if (.exists (io/file "deps.edn")) (edn/read-string (slurp "deps.edn")) {}))

(def repos
  (if-let [mirror (System/getenv "MAVEN_MIRROR_URL")]
    {:mvn/repos {"central" {:url mirror} "clojars" {:url mirror}}}
    {}))

(defn aliases [text]
  (mapv keyword (remove str/blank? (str/split (or text "") #":"))))

(defn data [names]
  (apply merge-with #(if (map? %1) (merge %1 %2) %2)
         (for [n names]
           (or (get-in project [:aliases n]) (fail (str "deps.edn has no alias " n))))))

;; A tool sees its own libraries in place of the project's.
(defn tool-basis [{:keys [deps replace-deps extra-deps paths replace-paths extra-paths]}]
  (deps/create-basis
   {:user nil :project nil
    :extra (merge (select-keys project [:mvn/repos])
                  {:deps (merge {} (or replace-deps deps) extra-deps)
                   :paths (vec (concat (or replace-paths paths ["."]) extra-paths))}
                  repos)}))

(defn project-basis [names]
  (deps/create-basis {:user nil :aliases names :extra repos}))

(defn line [text]
  (if (re-find #"[\r\n]" text) (fail "An argument of several lines cannot be passed on.") text))

(defn java [basis opts args]
  (map line (concat opts ["-cp" (str/join java.io.File/pathSeparator (:classpath-roots basis)) "clojure.main"] args)))

(defn exec [{:keys [ns-default ns-aliases exec-fn exec-args]} basis opts args]
  (let [named (when (odd? (count args)) (first args))
        f (or (some-> named symbol) exec-fn (fail "There is no function to run: name one, or give the alias an :exec-fn."))
        f (cond (namespace f) (symbol (str (get ns-aliases (symbol (namespace f)) (namespace f))) (name f))
                ns-default (symbol (str ns-default) (name f))
                :else (fail (str "In which namespace is " f "? Give the alias a :ns-default.")))
        pairs (map edn/read-string (if named (rest args) args))
        form `((requiring-resolve '~f) '~(merge {} exec-args (apply hash-map pairs)))]
    (java basis opts ["-e" (pr-str form)])))

(let [[file option & args] *command-line-args*
      [_ kind names] (or (re-matches #"-([TXMAP])(:.*)?" (or option ""))
                         (fail (str "This clojure knows -T:alias, -X:alias, -M:alias and -P, and not " option ".")))
      names (aliases names)
      alias (data names)
      opts (:jvm-opts alias)
      command (case kind
                "T" (exec alias (tool-basis alias) opts args)
                "X" (exec alias (project-basis names) opts args)
                "P" (do (project-basis names) nil)
                (java (project-basis names) opts (concat (:main-opts alias) args)))]
  (spit file (str/join (map #(str % "\n") command)))
  (shutdown-agents))
