# shellcheck shell=sh
# Read by the shell of every dyno before the app's command.
export PATH="$HOME/.heroku/node/bin:$HOME/node_modules/.bin:$PATH"
export NODE_ENV="${NODE_ENV:-production}"
export NODE_HOME="${NODE_HOME:-$(dirname "$(dirname "$(command -v node)")")}"
# One process per dyno: a machine that runs many dynos has not the memory of
# a dyno of Heroku's for each.
export WEB_MEMORY="${WEB_MEMORY:-512}"
export WEB_CONCURRENCY="${WEB_CONCURRENCY:-1}"
