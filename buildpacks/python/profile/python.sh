# shellcheck shell=sh
# Read by the shell of every dyno before the app's command.
export PATH="$HOME/.heroku/python/bin:$PATH"
export PYTHONUNBUFFERED=true
export PYTHONPATH="${PYTHONPATH:-$HOME}"
export LANG="${LANG:-C.UTF-8}"
# Gunicorn trusts the router, and logs requests where dynos log.
export FORWARDED_ALLOW_IPS="${FORWARDED_ALLOW_IPS:-*}"
export GUNICORN_CMD_ARGS="${GUNICORN_CMD_ARGS:---access-logfile -}"
# A process for each 256 MB of the dyno, of which two for each processor and
# one more are enough.
if [ -z "${WEB_CONCURRENCY:-}" ]; then
	WEB_CONCURRENCY=$((DYNO_RAM / 256))
	most=$((2 * $(nproc) + 1))
	WEB_CONCURRENCY=$((WEB_CONCURRENCY > most ? most : WEB_CONCURRENCY))
	export WEB_CONCURRENCY=$((WEB_CONCURRENCY < 1 ? 1 : WEB_CONCURRENCY))
	export WEB_CONCURRENCY_SET_BY=heroku/python
	unset most
fi
