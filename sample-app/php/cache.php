<?php

declare(strict_types=1);

// What a look into the cache found: how is what X-Cache says. A hit has the
// user; a miss has the lease, if this reader is the one that is to fill.
final class Look
{
    public function __construct(
        public readonly int $id,
        public readonly string $how,
        public readonly ?array $user = null,
        public readonly ?string $lease = null,
        public readonly string $epoch = '',
        public readonly string $life = '',
    ) {
    }
}

// Keeps users in Redis before Postgres, for speed alone: no read that begins
// after a change was acknowledged shows what was before it, whatever becomes of
// Redis. The README of the folder above tells why.
//
// - An entry says in which epoch and in which life of the server it was made.
//   Only those of this epoch and this life are believed, so that a server that
//   comes back with what it once saved has nothing.
// - A reader that fills the cache takes a lease first, and then holds a lock on
//   the row. A writer, which has the row for itself, deletes entry and lease
//   before it commits: what was read before can no longer be put.
// - Where Redis does not say that it has deleted, the writer's transaction begins
//   a new epoch, and the change is acknowledged only when nobody trusts the old
//   one any more.
//
// Reads use a credential that may be unable to write. Without REDIS_URL there is
// no cache, and every look is a bypass.
final class Cache
{
    public const EPOCH_TRUST = 0.5; // seconds
    private const ANSWER_WITHIN = 0.1; // seconds
    private const ENTRY_TTL = 60_000; // ms
    private const LEASE_TTL = 2000; // ms

    // Writes an entry if the lease for it is still there.
    private const PUT = <<<'LUA'
        if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
        redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
        redis.call('DEL', KEYS[1])
        return 1
        LUA;

    /** @var array<string, Redis> by variable */
    private array $connections = [];

    // Looks for a user. It fails only without Postgres, which has the epoch.
    public function look(int $id): Look
    {
        if (!self::url('REDIS_URL')) {
            return new Look($id, 'bypass');
        }
        $epoch = self::currentEpoch();
        try {
            [$life, $found] = $this->ask(self::reader(), fn (Redis $redis) => $redis->get("user:$id"));
        } catch (RedisException $e) {
            Log::warn('the cache does not answer', ['error' => $e->getMessage()]);
            return new Look($id, 'bypass');
        }
        $entry = is_string($found) ? json_decode($found, true) : null; // nothing there, or rubbish
        if (is_array($entry) && [$entry['epoch'] ?? null, $entry['life'] ?? null, $entry['user']['id'] ?? null] === [$epoch, $life, $id]) {
            return new Look($id, 'hit', $entry['user']);
        }
        $token = bin2hex(random_bytes(16));
        try {
            $set = fn (Redis $redis) => $redis->set("lease:$id", $token, ['nx', 'px' => self::LEASE_TTL]);
            [$life, $leased] = $this->ask('REDIS_URL', $set);
        } catch (RedisException) {
            return new Look($id, 'miss');
        }
        return new Look($id, 'miss', lease: $leased === true ? $token : null, epoch: $epoch, life: $life);
    }

    // Puts in what was read from Postgres after a look that got the lease, while
    // the row is locked.
    public function fill(Look $look, array $user): void
    {
        $entry = json_encode(['epoch' => $look->epoch, 'life' => $look->life, 'user' => $user]);
        try {
            $arguments = ["lease:$look->id", "user:$look->id", $look->lease, $entry, self::ENTRY_TTL];
            $this->with('REDIS_URL', fn (Redis $redis) => $redis->eval(self::PUT, $arguments, 2));
        } catch (RedisException $e) {
            Log::warn('the cache was not filled', ['user' => $look->id, 'error' => $e->getMessage()]);
        }
    }

    // Deletes a user from the cache, before the transaction under way commits
    // its change. If Redis cannot be told, the commit begins a new epoch, and
    // this is false: then the change may be acknowledged only EPOCH_TRUST after
    // it.
    public function forget(int $id): bool
    {
        if (!self::url('REDIS_URL')) {
            return true;
        }
        try {
            if (is_int($this->with('REDIS_URL', fn (Redis $redis) => $redis->del("user:$id", "lease:$id")))) {
                return true;
            }
            $error = 'it refuses';
        } catch (RedisException $e) {
            $error = $e->getMessage();
        }
        Log::warn('the cache cannot be told to forget; a new epoch begins', ['user' => $id, 'error' => $error]);
        Database::query('UPDATE cache_epoch SET epoch = gen_random_uuid()');
        return false;
    }

    public function state(): string
    {
        if (!self::url('REDIS_URL')) {
            return 'off';
        }
        try {
            foreach ([self::reader(), 'REDIS_URL'] as $variable) {
                $this->with($variable, fn (Redis $redis) => $redis->ping());
            }
            return 'ok';
        } catch (RedisException) {
            return 'down';
        }
    }

    private static function url(string $variable): string
    {
        return getenv($variable) ?: '';
    }

    private static function reader(): string
    {
        return self::url('REDIS_READER_URL') ? 'REDIS_READER_URL' : 'REDIS_URL';
    }

    // Asks a server over the connection of this process, which lasts from one
    // request to the next, unless something is wrong with it: what is answered
    // too late must not be taken for the answer to what is asked next.
    private function with(string $variable, callable $ask): mixed
    {
        try {
            return $ask($this->connections[$variable] ??= self::connect($variable));
        } catch (RedisException $e) {
            ($this->connections[$variable] ?? null)?->close();
            unset($this->connections[$variable]);
            throw $e;
        }
    }

    // What is not answered in time fails: Postgres answers sooner than a second
    // try.
    private static function connect(string $variable): Redis
    {
        ['scheme' => $scheme, 'host' => $host] = $parts = parse_url(self::url($variable));
        $user = urldecode($parts['user'] ?? '') ?: 'default';
        $options = isset($parts['pass']) ? ['auth' => [$user, urldecode($parts['pass'])]] : [];
        if ($scheme === 'rediss') {
            // Heroku's servers have certificates that they signed themselves;
            // its manual says not to verify them, so TLS hides the traffic and
            // the password tells friend from foe.
            // https://devcenter.heroku.com/articles/connecting-heroku-redis
            $host = "tls://$host";
            $options['stream'] = ['verify_peer' => false, 'verify_peer_name' => false];
        }
        $redis = new Redis();
        // It warns beside what it throws.
        @$redis->pconnect($host, $parts['port'] ?? 6379, self::ANSWER_WITHIN, $variable, 0, self::ANSWER_WITHIN, $options);
        $redis->setOption(Redis::OPT_MAX_RETRIES, 0);
        return $redis;
    }

    // The one that is, or was less than EPOCH_TRUST ago. All processes of the
    // dyno share it.
    private static function currentEpoch(): string
    {
        $now = hrtime(true); // before Postgres is asked, not when it answers
        [$epoch, $asked] = apcu_fetch('epoch') ?: ['', PHP_INT_MIN];
        if (($now - $asked) / 1e9 >= self::EPOCH_TRUST) {
            $epoch = Database::query('SELECT epoch::text FROM cache_epoch')[0]['epoch'];
            apcu_store('epoch', [$epoch, $now]);
        }
        return $epoch;
    }

    // Sends a command and the question which life of the server answers it, on
    // one connection. A server that refuses has answered.
    private function ask(string $variable, callable $command): array
    {
        return $this->with($variable, function (Redis $redis) use ($command): array {
            $redis->pipeline();
            $redis->info('server');
            $command($redis);
            [$info, $answer] = $redis->exec() ?: throw new RedisException('no answer');
            return [$info['run_id'] ?? '', $answer];
        });
    }
}
