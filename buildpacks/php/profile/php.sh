# shellcheck shell=sh
# Read by the shell of every dyno before the app's command.
export PATH="$HOME/.heroku/php/bin:$HOME/vendor/bin:$PATH:/usr/sbin"
