# shellcheck shell=sh
# Read by the shell of every dyno before the app's command.
export PATH="$HOME/.heroku/node/bin:$HOME/node_modules/.bin:$PATH"
export NODE_ENV="${NODE_ENV:-production}"
export NODE_HOME="${NODE_HOME:-$(dirname "$(dirname "$(command -v node)")")}"
# A process for each WEB_MEMORY megabytes of the dyno.
export WEB_MEMORY="${WEB_MEMORY:-512}"
if [ -z "${WEB_CONCURRENCY:-}" ]; then
	WEB_CONCURRENCY=$((DYNO_RAM / WEB_MEMORY))
	export WEB_CONCURRENCY=$((WEB_CONCURRENCY < 1 ? 1 : WEB_CONCURRENCY))
fi
