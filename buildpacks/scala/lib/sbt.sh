# shellcheck shell=sh
# Read by the shell of every dyno before the app's command.
export PATH="$HOME/.heroku/sbt/bin:$PATH"
