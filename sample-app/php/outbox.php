<?php

declare(strict_types=1);

// Holds the events that Kafka does not have yet. A change writes its event in
// its own transaction, so that there is one for each change that was made and
// none for those that were not; publish.php gives them to Kafka, whenever that
// is there. Without KAFKA_URL no event is written.
final class Outbox
{
    // Writes an event that is there when the transaction under way commits.
    public function add(string $type, array $user): void
    {
        if (getenv('KAFKA_URL')) {
            $sql = 'INSERT INTO outbox (type, user_id, user_json, traceparent, request_id) VALUES (?, ?, ?, ?, ?)';
            Database::query($sql, $type, $user['id'], json_encode($user), Request::$current->traceparent, Request::$current->id);
        }
    }

    // How many events wait; nobody knows without Postgres.
    public function length(): int|string
    {
        try {
            return Database::query('SELECT count(*) AS n FROM outbox')[0]['n'];
        } catch (PDOException $e) {
            Log::warn('the outbox cannot be counted', ['error' => $e->getMessage()]);
            return 'NaN';
        }
    }
}
