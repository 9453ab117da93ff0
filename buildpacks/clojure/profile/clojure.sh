# shellcheck shell=sh
# Read by the shell of every dyno before the app's command.
export LEIN_NO_DEV="${LEIN_NO_DEV:-yes}" RING_ENV="${RING_ENV:-production}"
if [ -d "$HOME/.m2/repository" ]; then
	export LEIN_JVM_OPTS="${LEIN_JVM_OPTS:--Duser.home=$HOME}"
fi
