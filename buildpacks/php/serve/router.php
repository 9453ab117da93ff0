<?php
// What PHP's built-in server asks first: hidden files, and those that are no
// part of the site, stay where they are.
$path = rawurldecode(parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH) ?: '/');
if (preg_match('~/\.(?!well-known/)|^/+(vendor/|composer\.(json|lock|phar)$|Procfile$)~', $path)) {
    http_response_code(403);
    exit("Forbidden\n");
}
return false;
