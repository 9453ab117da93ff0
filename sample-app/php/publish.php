<?php

declare(strict_types=1);

// Gives the events of the outbox to Kafka until SIGTERM, in one process at a
// time of all dynos.

require __DIR__ . '/database.php';
require __DIR__ . '/kafka.php';
require __DIR__ . '/observe.php';

const POLL_EVERY = 200_000; // µs
const RETRY_EVERY = 1_000_000; // µs
const OLDEST = <<<'SQL'
    SELECT id, type, user_json, request_id, user_id, traceparent,
        to_char(at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS at FROM outbox ORDER BY id LIMIT 100
    SQL;

$stopping = false;
pcntl_async_signals(true);
pcntl_signal(SIGTERM, function () use (&$stopping): void {
    $stopping = true;
});

// The lock that makes this process the one is its connection's, and goes with
// it.
$publish = function () use (&$stopping): void {
    $db = Database::connect();
    if (!$db->query("SELECT pg_try_advisory_lock(hashtext('outbox')) AS got")->fetch()['got']) {
        return;
    }
    $producer = new Producer(Producer::config());
    while (!$stopping) {
        $rows = $db->query(OLDEST)->fetchAll();
        foreach ($rows as $row) {
            if ($stopping) {
                return;
            }
            publishOne($db, $producer, $row);
        }
        $rows || usleep(POLL_EVERY); // a signal ends it
    }
};

// Publishes an event, and removes it once it has been acknowledged. Should this
// end in between, it is published again.
function publishOne(PDO $db, Producer $producer, array $row): void
{
    $value = ['id' => $row['id'], 'type' => $row['type'], 'user' => json_decode($row['user_json']), 'request_id' => $row['request_id'], 'at' => $row['at']];
    $headers = ['type' => $row['type'], 'traceparent' => $row['traceparent']];
    $producer->send(getenv('KAFKA_PREFIX') . 'users', (string) $row['user_id'], json_encode($value), $headers);
    $db->prepare('DELETE FROM outbox WHERE id = ?')->execute([$row['id']]);
}

while (!$stopping) {
    try {
        if (getenv('KAFKA_URL')) {
            $publish();
        }
    } catch (PDOException | KafkaError | FFI\Exception $e) {
        Log::warn('events stay in the outbox for now', ['error' => $e->getMessage()]);
    }
    $stopping || usleep(RETRY_EVERY);
}
