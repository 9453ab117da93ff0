<?php

declare(strict_types=1);

// What a client says of a user, and looks for.
final class Input
{
    public const CONTROL = '/\p{Cc}/u';
    private const ATOM = '[^\p{Z}\p{Cc}@"(),.:;<>\[\\\\\]]++';
    private const SPACE = '[\x09-\x0d\x20\x{85}\p{Z}]';

    // Returns the two as they are stored, or throws what is wrong with them.
    public static function clean(string $name, string $email): array
    {
        [$name, $email] = [self::trim($name), self::trim($email)];
        $address = '/^' . self::ATOM . '(\.' . self::ATOM . ')*+@' . self::ATOM . '(\.' . self::ATOM . ')*+$/Du';
        throw_if($name === '', 'name is required');
        throw_if(mb_strlen($name) > 100, 'name is longer than 100 characters');
        throw_if(preg_match(self::CONTROL, $name) === 1, 'name holds a control character');
        throw_if($email === '', 'email is required');
        throw_if(strlen($email) > 254 || preg_match($address, $email) !== 1, 'email is not an address like user@example.com');
        return [$name, $email];
    }

    // Takes white space away, Unicode's.
    private static function trim(string $text): string
    {
        $text = preg_replace('/^' . self::SPACE . '++/u', '', $text);
        return preg_replace('/(?<!' . self::SPACE . ')' . self::SPACE . '++$/Du', '', $text);
    }

    // The LIKE pattern of what holds a text.
    public static function contains(string $text): string
    {
        return '%' . addcslashes($text, '\\%_') . '%';
    }
}

function throw_if(bool $wrong, string $message): void
{
    if ($wrong) {
        throw ApiError::invalid($message);
    }
}

// The one place that changes users, so that no change forgets the cache or its
// event.
final class Users
{
    private const COLUMNS = <<<'SQL'
        id, name, email, version,
        to_char(created_at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS created_at,
        to_char(updated_at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS updated_at
        SQL;

    public function __construct(public readonly Cache $cache, public readonly Outbox $outbox)
    {
    }

    // Fails unless Postgres answers and has the schema.
    public function ping(): void
    {
        Database::query('SELECT 1 FROM users LIMIT 1');
    }

    // Adds a user. The cache cannot know of it yet.
    public function create(string $name, string $email): array
    {
        return Database::transaction(function () use ($name, $email): array {
            $user = self::one('INSERT INTO users (name, email) VALUES (?, ?) RETURNING ' . self::COLUMNS, $name, $email);
            $this->outbox->add('user.created', $user);
            return $user;
        });
    }

    // Reads the user of a look into the cache, which can be believed, or else
    // from Postgres.
    public function get(Look $look): array
    {
        $sql = 'SELECT ' . self::COLUMNS . ' FROM users WHERE id = ?';
        return match (true) {
            $look->user !== null => $look->user,
            $look->lease === null => self::one($sql, $look->id),
            // The row stays as it is until the cache has it, and waits for who
            // is changing it.
            default => Database::transaction(function () use ($look, $sql): array {
                $user = self::one("$sql FOR SHARE", $look->id);
                $this->cache->fill($look, $user);
                return $user;
            }),
        };
    }

    // Up to limit users after an id whose name or email holds the text, in the
    // order they were created. A list is never cached: it would have to be
    // forgotten with every change of any user.
    public function list(int $after, int $limit, string $text): array
    {
        $sql = 'SELECT ' . self::COLUMNS . ' FROM users WHERE id > ? AND (name ILIKE ? OR email ILIKE ?) ORDER BY id LIMIT ?';
        $pattern = Input::contains($text);
        return Database::query($sql, $after, $pattern, $pattern, $limit);
    }

    // Replaces a user. match is the version it must have, or null for any.
    public function update(int $id, ?int $match, string $name, string $email): array
    {
        $sql = 'UPDATE users SET name = ?, email = ?, version = version + 1, updated_at = now() WHERE id = ? RETURNING ' . self::COLUMNS;
        return $this->change($id, $match, 'user.updated', $sql, $name, $email, $id);
    }

    // Removes a user. match is the version it must have, or null for any.
    public function delete(int $id, ?int $match): void
    {
        $this->change($id, $match, 'user.deleted', 'DELETE FROM users WHERE id = ? RETURNING ' . self::COLUMNS, $id);
    }

    // Runs a statement on one user, writes its event, and makes the cache forget
    // the user.
    private function change(int $id, ?int $match, string $type, string $sql, mixed ...$values): array
    {
        [$user, $told] = Database::transaction(function () use ($id, $match, $type, $sql, $values): array {
            $old = self::one('SELECT version FROM users WHERE id = ? FOR UPDATE', $id);
            if ($match !== null && $match !== $old['version']) {
                throw ApiError::stale();
            }
            $user = self::one($sql, ...$values);
            $this->outbox->add($type, $user);
            return [$user, $this->cache->forget($id)];
        });
        $until = hrtime(true) + ($told ? 0 : Cache::EPOCH_TRUST * 1e9);
        while (($left = $until - hrtime(true)) > 0) {
            usleep((int) ceil($left / 1000)); // a signal ends it
        }
        return $user;
    }

    private static function one(string $sql, mixed ...$values): array
    {
        return Database::query($sql, ...$values)[0] ?? throw ApiError::notFound();
    }
}
