(ns users.input-test
  (:require [clojure.test :refer [are deftest is]]
            [users.input :as input]
            [users.users :as users])
  (:import (clojure.lang ExceptionInfo)))

(defn- refused [f]
  (try (f) nil (catch ExceptionInfo e [(:status (ex-data e)) (ex-message e)])))

(deftest input-is-cleaned
  (is (= {:name "Ada" :email "ada@example.com"} (input/clean {"name" "\u00a0 Ada " "email" "\tada@example.com\n"})))
  (is (input/clean {"name" (apply str (repeat 100 "🌱")) "email" "ada@example.com"}))
  (are [name email says] (= [422 says] (refused #(input/clean {"name" name "email" email})))
    " " "ada@example.com" "name is required"
    (apply str (repeat 101 "🌱")) "ada@example.com" "name is longer than 100 characters"
    "A\u0000da" "ada@example.com" "name holds a control character"
    "Ada" nil "email is required"
    "Ada" "Ada <ada@example.com>" "email is not an address like user@example.com"
    "Ada" "a@example.com, b@example.com" "email is not an address like user@example.com"
    "Ada" "a..b@example.com" "email is not an address like user@example.com"))

(deftest what-is-no-user-is-a-bad-request
  (are [body] (= 400 (first (refused #(input/parse (.getBytes ^String body "UTF-8")))))
    "" "null" "[]" "{'name':'Ada'}" "{\"name\":1}" "{\"admin\":true}" "{} {}" "{\"name\":\"\\ud800\"}" (apply str (repeat 60000 "["))))

(deftest a-search-text-is-no-pattern
  (is (= "%50\\%\\_\\\\%" (users/contains "50%_\\"))))
