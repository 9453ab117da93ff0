<?php

declare(strict_types=1);

// Users is a web service that creates, reads, updates, deletes, lists and
// searches users. Postgres is the only truth; Redis, before it, makes reads fast
// and can never make them wrong; Kafka, beside it, is told of each change. This
// answers one request.

require __DIR__ . '/cache.php';
require __DIR__ . '/database.php';
require __DIR__ . '/errors.php';
require __DIR__ . '/observe.php';
require __DIR__ . '/outbox.php';
require __DIR__ . '/users.php';

const MAX_BODY = 64 * 1024; // bytes

$request = Request::begin($_SERVER);
try {
    $body = answer($request, new Users(new Cache(), new Outbox()));
} catch (Throwable $e) {
    $error = ApiError::of($e);
    http_response_code($error->status);
    foreach ($error->headers as $name => $value) {
        header("$name: $value");
    }
    $body = json(['id' => $error->id, 'message' => $error->getMessage()]);
}
header("X-Request-Id: $request->id");
if ($request->cache !== '') {
    header("X-Cache: $request->cache");
}
echo $body;
$request->answered(http_response_code());

// Does what is asked for, and returns the body of the answer.
function answer(Request $request, Users $users): string
{
    $routes = [
        '/' => ['GET' => page(...)],
        '/health' => ['GET' => fn () => health($users)],
        '/metrics' => ['GET' => fn () => metrics($users)],
        '/users' => ['GET' => fn () => listUsers($users), 'POST' => fn () => create($users)],
        '/users/{id}' => [
            'GET' => fn () => read($users, $request),
            'PUT' => fn () => user($users->update(id($request), wantedVersion(), ...input())),
            'DELETE' => fn () => delete($users, $request),
        ],
    ];
    $methods = $routes[$request->route()] ?? throw ApiError::notFound('There is nothing here.');
    $do = $methods[$request->method === 'HEAD' ? 'GET' : $request->method] ?? throw ApiError::methodNotAllowed(array_keys($methods));
    return $do();
}

function page(): string
{
    header('Content-Type: text/html; charset=utf-8');
    return file_get_contents(__DIR__ . '/page.html');
}

// Fails without Postgres. Without the cache the app is merely slower.
function health(Users $users): string
{
    $cache = $users->cache->state();
    try {
        $users->ping();
        return json(['status' => 'ok', 'postgres' => 'ok', 'cache' => $cache]);
    } catch (PDOException $e) {
        Log::warn('Postgres does not answer', ['error' => $e->getMessage()]);
        http_response_code(503);
        header('Retry-After: 1');
        return json(['status' => 'failing', 'postgres' => 'down', 'cache' => $cache]);
    }
}

function metrics(Users $users): string
{
    header('Content-Type: text/plain; version=0.0.4; charset=utf-8');
    return Metrics::text($users->outbox->length());
}

// The Link header has the next page: it names the last id seen, so that what is
// added meanwhile shifts nothing.
function listUsers(Users $users): string
{
    $given = fn (string $name) => is_string($_GET[$name] ?? '') ? $_GET[$name] ?? '' : '?';
    $limit = number($given('limit') === '' ? '20' : $given('limit'));
    $after = number($given('after') === '' ? '0' : $given('after'));
    $text = $given('q');
    throw_if($limit < 1 || $limit > 100, 'limit must be a number from 1 to 100');
    throw_if($after < 0, 'after must be the id of a user');
    throw_if(strlen($text) > 100 || preg_match(Input::CONTROL, $text) !== 0, 'q must be a text of at most 100 bytes');
    $found = $users->list($after, $limit + 1, $text);
    $shown = array_slice($found, 0, $limit);
    if (count($found) > $limit) {
        $next = ['limit' => $limit, 'after' => end($shown)['id']] + ($text === '' ? [] : ['q' => $text]);
        header('Link: </users?' . http_build_query($next) . '>; rel="next"');
    }
    return json($shown);
}

function create(Users $users): string
{
    $user = $users->create(...input());
    http_response_code(201);
    header("Location: /users/$user[id]");
    return user($user);
}

function read(Users $users, Request $request): string
{
    $look = $users->cache->look(id($request));
    $request->cache = $look->how;
    $user = $users->get($look);
    $body = user($user);
    $seen = preg_split('/\s*,\s*/', str_replace('W/', '', $_SERVER['HTTP_IF_NONE_MATCH'] ?? ''));
    if (array_intersect($seen, ["\"$user[version]\"", '*'])) {
        http_response_code(304);
        return '';
    }
    return $body;
}

function delete(Users $users, Request $request): string
{
    $users->delete(id($request), wantedVersion());
    http_response_code(204);
    return '';
}

function user(array $user): string
{
    header("ETag: \"$user[version]\"");
    return json($user);
}

function json(array $value): string
{
    header('Content-Type: application/json');
    return json_encode($value, JSON_THROW_ON_ERROR | JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE);
}

// What digits say up to 2⁶³−1, or -1.
function number(string $text): int
{
    return preg_match('/^[0-9]{1,30}$/D', $text) ? filter_var(ltrim($text, '0') ?: '0', FILTER_VALIDATE_INT, ['options' => ['default' => -1]]) : -1;
}

function id(Request $request): int
{
    $id = number(rawurldecode(substr($request->path, strlen('/users/'))));
    return $id > 0 ? $id : throw ApiError::notFound();
}

// The version that the user must have; null for any.
function wantedVersion(): ?int
{
    $header = $_SERVER['HTTP_IF_MATCH'] ?? '*';
    if ($header === '*') {
        return null;
    }
    return preg_match('/^"([0-9]{1,19})"$/D', $header, $m) ? number($m[1]) : throw ApiError::stale();
}

// Reads a user from the body.
function input(): array
{
    $text = file_get_contents('php://input', length: MAX_BODY + 1);
    if (strlen($text) > MAX_BODY) {
        throw ApiError::tooLarge();
    }
    try {
        $given = json_decode($text, flags: JSON_THROW_ON_ERROR);
    } catch (JsonException $e) {
        throw ApiError::badRequest('The body is not JSON in UTF-8.');
    }
    $fields = $given instanceof stdClass ? get_object_vars($given) : ['?' => null];
    if (array_diff_key($fields, ['name' => 1, 'email' => 1])) {
        throw ApiError::badRequest('Send a JSON object like {"name": "Ada", "email": "ada@example.com"}.');
    }
    $texts = [$fields['name'] ?? '', $fields['email'] ?? ''];
    if (array_filter($texts, 'is_string') !== $texts) {
        throw ApiError::badRequest('name and email are texts.');
    }
    return Input::clean(...$texts);
}
