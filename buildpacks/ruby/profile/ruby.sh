# shellcheck shell=sh
# Read by the shell of every dyno before the app's command.
export PATH="$HOME/bin:$HOME/vendor/bundle/bin:$PATH"
export LANG="${LANG:-C.UTF-8}"
export DISABLE_SPRING=1
export MALLOC_ARENA_MAX="${MALLOC_ARENA_MAX:-2}"
# The router keeps connections to a dyno for 90 s.
export PUMA_PERSISTENT_TIMEOUT="${PUMA_PERSISTENT_TIMEOUT:-95}"
if [ -n "${SENSIBLE_DEFAULTS:-}" ] && [ -z "${WEB_CONCURRENCY:-}" ]; then
	WEB_CONCURRENCY=$((DYNO_RAM / 256))
	export WEB_CONCURRENCY=$((WEB_CONCURRENCY < 1 ? 1 : WEB_CONCURRENCY))
	export WEB_CONCURRENCY_SET_BY=heroku/ruby
fi
