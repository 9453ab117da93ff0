<?php

declare(strict_types=1);

// Runs a script of this folder, any number of times: all of it or nothing,
// since what is sent as one is one transaction.
//
//     php script.php schema.sql   bring the schema up to date (the release phase)
//     php script.php seed.sql     add users to look at (postdeploy)

require __DIR__ . '/database.php';

Database::connect()->exec(file_get_contents(__DIR__ . '/' . basename($argv[1])));
