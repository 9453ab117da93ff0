<?php

declare(strict_types=1);

// The request that this process answers, if any. cache is what X-Cache will
// say.
final class Request
{
    public static ?Request $current = null;
    public string $cache = '';
    private readonly int $began;

    private function __construct(
        public readonly string $method,
        public readonly string $path,
        public readonly string $id,
        public readonly string $traceparent,
    ) {
        $this->began = hrtime(true);
    }

    // A trace that came along goes on (https://www.w3.org/TR/trace-context/).
    public static function begin(array $server): self
    {
        $id = $server['HTTP_X_REQUEST_ID'] ?? '';
        $trace = $server['HTTP_TRACEPARENT'] ?? '';
        return self::$current = new self(
            $server['REQUEST_METHOD'],
            strtok($server['REQUEST_URI'], '?'),
            preg_match('/^[A-Za-z0-9._-]{1,128}$/D', $id) ? $id : bin2hex(random_bytes(16)),
            preg_match('/^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/D', $trace)
                ? $trace : '00-' . bin2hex(random_bytes(16)) . '-' . bin2hex(random_bytes(8)) . '-01',
        );
    }

    public function route(): string
    {
        return match (true) {
            in_array($this->path, ['/', '/health', '/metrics', '/users'], true) => $this->path,
            preg_match('#^/users/[^/]+$#D', $this->path) === 1 => '/users/{id}',
            default => 'other',
        };
    }

    public function answered(int $status): void
    {
        $took = (hrtime(true) - $this->began) / 1e9;
        $fields = ['method' => $this->method, 'path' => $this->path, 'route' => $this->route(), 'status' => $status];
        Metrics::answered($fields, $took, $this->cache);
        Log::info('request', $fields + ['ms' => round($took * 1000, 1), 'cache' => $this->cache]);
    }
}

// The log is JSON, one object a line, with which request it is about.
final class Log
{
    private const LEVELS = ['debug', 'info', 'warn', 'error'];

    public static function info(string $message, array $fields = []): void
    {
        self::write('info', $message, $fields);
    }

    public static function warn(string $message, array $fields = []): void
    {
        self::write('warn', $message, $fields);
    }

    public static function error(string $message, array $fields = []): void
    {
        self::write('error', $message, $fields);
    }

    private static function write(string $level, string $message, array $fields): void
    {
        if (array_search($level, self::LEVELS, true) < array_search(getenv('LOG_LEVEL') ?: 'info', self::LEVELS, true)) {
            return;
        }
        $request = Request::$current;
        $ids = $request ? ['request_id' => $request->id, 'trace_id' => substr($request->traceparent, 3, 32)] : [];
        $line = ['time' => (new DateTimeImmutable())->format('Y-m-d\TH:i:s.vp'), 'level' => $level, 'msg' => $message] + $fields + $ids;
        file_put_contents('php://stdout', json_encode($line, JSON_INVALID_UTF8_SUBSTITUTE | JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE) . "\n");
    }
}

// Counts for Prometheus, of all processes of the dyno: a key in their shared
// memory is a sample.
final class Metrics
{
    private const BUCKETS = ['0.005', '0.01', '0.025', '0.05', '0.1', '0.25', '0.5', '1', '2.5', '5', '10', '+Inf']; // seconds
    private const TYPES = ['http_requests_total' => 'counter', 'http_request_duration_seconds' => 'histogram', 'cache_reads_total' => 'counter'];

    public static function answered(array $fields, float $took, string $cache): void
    {
        ['method' => $method, 'route' => $route, 'status' => $status] = $fields;
        $labels = "method=\"$method\",route=\"$route\"";
        self::add("http_requests_total{{$labels},status=\"$status\"}");
        foreach (self::BUCKETS as $most) {
            self::add("http_request_duration_seconds_bucket{{$labels},le=\"$most\"}", $most === '+Inf' || $took <= (float) $most ? 1 : 0);
        }
        self::add("http_request_duration_seconds_sum{{$labels}}", (int) ($took * 1e6)); // µs
        self::add("http_request_duration_seconds_count{{$labels}}");
        if ($cache !== '') {
            self::add("cache_reads_total{result=\"$cache\"}");
        }
    }

    private static function add(string $sample, int $n = 1): void
    {
        apcu_inc("metric:$sample", $n);
    }

    public static function text(int|string $waiting): string
    {
        $text = '';
        foreach (self::TYPES as $name => $type) {
            $text .= "# TYPE $name $type\n";
            foreach (new APCUIterator("/^metric:$name/") as $key => ['value' => $n]) {
                $text .= substr($key, strlen('metric:')) . ' ' . (str_contains($key, '_sum{') ? $n / 1e6 : $n) . "\n";
            }
        }
        return "$text# TYPE outbox_events gauge\noutbox_events $waiting\n";
    }
}
