<?php

declare(strict_types=1);

// Postgres.
final class Database
{
    private static ?PDO $shared = null;

    // The connection of this process, which lasts from one request to the next.
    public static function shared(): PDO
    {
        return self::$shared ??= self::connect([PDO::ATTR_PERSISTENT => true]);
    }

    // Opens a connection. Where the other side has gone without a word, that is
    // found out within seconds.
    public static function connect(array $options = []): PDO
    {
        $url = parse_url((string) getenv('DATABASE_URL'));
        if (empty($url['host'])) {
            throw new RuntimeException('DATABASE_URL is not a postgres:// URL; attach a database (heroku addons:create heroku-postgresql)');
        }
        parse_str($url['query'] ?? '', $more); // sslmode
        $settings = $more + [
            'host' => $url['host'],
            'port' => $url['port'] ?? 5432,
            'dbname' => ltrim($url['path'] ?? '', '/'),
            'options' => '-c statement_timeout=5s -c timezone=UTC',
            'tcp_user_timeout' => 7000,
            'keepalives_idle' => 5,
            'keepalives_interval' => 1,
            'keepalives_count' => 2,
        ];
        $dsn = array_map(fn ($name, $value) => "$name='" . addcslashes(urldecode((string) $value), "'\\") . "'", array_keys($settings), $settings);
        return new PDO('pgsql:' . implode(';', $dsn), urldecode($url['user'] ?? ''), urldecode($url['pass'] ?? ''), $options + [
            PDO::ATTR_TIMEOUT => 3,
            PDO::ATTR_DEFAULT_FETCH_MODE => PDO::FETCH_ASSOC,
            PDO::PGSQL_ATTR_DISABLE_PREPARES => true,
        ]);
    }

    public static function query(string $sql, mixed ...$values): array
    {
        $statement = self::shared()->prepare($sql);
        $statement->execute($values);
        return $statement->fetchAll();
    }

    // Does all of it or nothing. Of what Postgres refuses, one thing is the
    // client's fault.
    public static function transaction(callable $do): mixed
    {
        $db = self::shared();
        $db->beginTransaction();
        try {
            $result = $do();
            $db->commit();
            return $result;
        } catch (Throwable $e) {
            try {
                $db->rollBack();
            } catch (PDOException) {
                // It is gone, and the transaction with it.
            }
            throw $e instanceof PDOException && $e->getCode() === '23505' ? ApiError::emailTaken() : $e;
        }
    }
}
