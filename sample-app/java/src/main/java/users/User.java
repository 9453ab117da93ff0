package users;

import java.time.Instant;

/** One row. Its version is what an ETag shows. */
record User(long id, String name, String email, long version, Instant createdAt, Instant updatedAt) {
    String etag() {
        return "\"" + version + "\"";
    }
}
