# shellcheck shell=sh
# Read by the shell of every dyno before the app's command.
export PATH="$PATH:$HOME/bin"
