(ns users.errors
  "What a client is told: an id to program against, and a message for people.")

(defn fail
  "Throws what becomes the answer."
  [status id message]
  (throw (ex-info message {:status status :id id})))

(defn bad-request [message] (fail 400 "bad_request" message))
(defn not-found [] (fail 404 "not_found" "There is no such user."))
(defn email-taken [] (fail 409 "conflict" "Another user has this email."))
(defn stale [] (fail 412 "precondition_failed" "The user has changed since you read it; read it again."))
(defn too-large [] (fail 413 "request_too_large" "The body has more than 64 KiB."))
(defn invalid [message] (fail 422 "invalid_params" message))
