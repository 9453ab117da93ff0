<?php

declare(strict_types=1);

// Runs what a dyno runs: PHP's own server, whose processes have index.php
// answer requests, and publish.php beside it. It ends with the first of them,
// or at SIGTERM.

// As many as the 8 connections to Redis allow, of which each may have two.
// Each has one to Postgres.
const PROCESSES = 4;

$port = getenv('PORT') ?: '5000';
$commands = [
    // What a body is called changes nothing, and errors are in the log.
    'server' => [PHP_BINARY, '-q', '-d', 'enable_post_data_reading=0', '-d', 'display_errors=0',
        '-d', 'expose_php=0', '-d', 'max_execution_time=0', '-S', "0.0.0.0:$port", __DIR__ . '/index.php'],
    'publisher' => [PHP_BINARY, __DIR__ . '/publish.php'],
];

// SIGTERM may reach each process of the dyno. It is nothing to those of the
// server, which would break off what they do; they are told by SIGINT.
pcntl_signal(SIGTERM, SIG_IGN);
$environment = ['PHP_CLI_SERVER_WORKERS' => (string) (PROCESSES - 1)] + getenv(); // beside the first, which answers, too
$running = [];
foreach ($commands as $name => $command) {
    $running[$name] = proc_open($command, [], $pipes, __DIR__, $environment);
}
$stopping = false;
pcntl_async_signals(true);
foreach ([SIGTERM, SIGINT] as $signal) {
    pcntl_signal($signal, function () use (&$stopping): void {
        $stopping = true;
    });
}

$status = fn (string $name): array => proc_get_status($running[$name]);
while (!$stopping && $status('server')['running'] && $status('publisher')['running']) {
    usleep(50_000); // a signal ends it
}
$server = $status('server')['pid'];
$workers = explode(' ', trim((string) @file_get_contents("/proc/$server/task/$server/children")));
foreach (array_filter([$server, ...$workers]) as $process) {
    posix_kill((int) $process, SIGINT);
}
posix_kill($status('publisher')['pid'], SIGTERM);
foreach ($running as $process) {
    proc_close($process); // waits
}
exit($stopping ? 0 : 1);
