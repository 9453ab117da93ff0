package users;

/** What a client is told: an id to program against, and a message for people. */
final class ApiError extends RuntimeException {
    private static final long serialVersionUID = 1;

    final int status;
    final String id;

    /** The body of the answer. */
    record Body(String id, String message) {}

    ApiError(int status, String id, String message) {
        super(message, null, false, false);
        this.status = status;
        this.id = id;
    }

    Body body() {
        return new Body(id, getMessage());
    }

    static ApiError badRequest(String message) {
        return new ApiError(400, "bad_request", message);
    }

    static ApiError notFound() {
        return new ApiError(404, "not_found", "There is no such user.");
    }

    static ApiError emailTaken() {
        return new ApiError(409, "conflict", "Another user has this email.");
    }

    static ApiError stale() {
        return new ApiError(412, "precondition_failed", "The user has changed since you read it; read it again.");
    }

    static ApiError tooLarge() {
        return new ApiError(413, "request_too_large", "The body has more than 64 KiB.");
    }

    static ApiError invalid(String message) {
        return new ApiError(422, "invalid_params", message);
    }

    static ApiError unavailable() {
        return new ApiError(503, "unavailable", "The users cannot be reached right now; try again.");
    }
}
