<?php

declare(strict_types=1);

// Tests what a client's input becomes: php users_test.php

require __DIR__ . '/errors.php';
require __DIR__ . '/users.php';

function want(mixed $want, mixed $got): void
{
    if ($got !== $want) {
        throw new Exception('got ' . json_encode($got) . ', want ' . json_encode($want));
    }
}

$ada = ['Ada', 'ada@example.com'];
want($ada, Input::clean(...$ada));
want($ada, Input::clean("\u{3000}Ada\u{85}", "\tada@example.com\n"));
want(str_repeat('🌱', 100), Input::clean(str_repeat('🌱', 100), $ada[1])[0]);
want('%50\%\_\\\\%', Input::contains('50%_\\'));

$refused = [
    [' ', 'ada@example.com', 'name is required'],
    [str_repeat('ü', 101), 'ada@example.com', 'name is longer than 100 characters'],
    ["A\0da", 'ada@example.com', 'name holds a control character'],
    ["Ada\x1f", 'ada@example.com', 'name holds a control character'],
    ['Ada', '', 'email is required'],
    ['Ada', 'Ada <ada@example.com>', 'email is not an address like user@example.com'],
    ['Ada', 'a@example.com, b@example.com', 'email is not an address like user@example.com'],
    ['Ada', str_repeat('ü', 122) . '@example.com', 'email is not an address like user@example.com'],
];
foreach ($refused as [$name, $email, $says]) {
    try {
        want('', Input::clean($name, $email));
    } catch (ApiError $e) {
        want($says, $e->getMessage());
    }
}
printf("%d inputs are as they should be\n", count($refused) + 4);
