<?php

declare(strict_types=1);

// What a client is told: an id to program against and a message for people.
final class ApiError extends Exception
{
    public function __construct(public readonly int $status, public readonly string $id, string $message, public readonly array $headers = [])
    {
        parent::__construct($message);
    }

    public static function notFound(string $message = 'There is no such user.'): self
    {
        return new self(404, 'not_found', $message);
    }

    public static function methodNotAllowed(array $methods): self
    {
        return new self(405, 'method_not_allowed', 'The path has no such method.', ['Allow' => implode(', ', $methods)]);
    }

    public static function emailTaken(): self
    {
        return new self(409, 'conflict', 'Another user has this email.');
    }

    public static function stale(): self
    {
        return new self(412, 'precondition_failed', 'The user has changed since you read it; read it again.');
    }

    public static function tooLarge(): self
    {
        return new self(413, 'request_too_large', 'The body has more than 64 KiB.');
    }

    public static function invalid(string $message): self
    {
        return new self(422, 'invalid_params', $message);
    }

    public static function badRequest(string $message): self
    {
        return new self(400, 'bad_request', $message);
    }

    // What anything that was thrown is to a client. What nobody meant for one is
    // logged, not shown.
    public static function of(Throwable $e): self
    {
        if ($e instanceof self) {
            return $e;
        }
        if ($e instanceof PDOException) { // Postgres is away, busy or too slow
            Log::error('Postgres did not do it', ['error' => $e->getMessage()]);
            return new self(503, 'unavailable', 'The users cannot be reached right now; try again.', ['Retry-After' => '1']);
        }
        Log::error('request failed', ['error' => get_class($e) . ': ' . $e->getMessage() . "\n" . $e->getTraceAsString()]);
        return new self(500, 'internal_error', 'Something went wrong here; the log has it under the X-Request-Id.');
    }
}
