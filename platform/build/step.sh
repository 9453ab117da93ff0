#!/usr/bin/env bash
# Runs one program of one buildpack in the folder of a build:
#
#   step detect|compile|release|fetch N
#
# What the builder has to know of the output is left in out/PROGRAM-N.
here=$PWD
program=$1
n=$2
pack=$here/buildpacks/$n
export TMPDIR=$here/tmp

# What an earlier buildpack installed, the later ones may use.
for ((i = 0; i < n; i++)); do
	if [[ -f $here/buildpacks/$i/export ]]; then
		# shellcheck source=/dev/null
		source "$here/buildpacks/$i/export"
	fi
done

# git URLs may hold a password, which must not show in the process list.
fetch() {
	export GIT_TERMINAL_PROMPT=0 GIT_ALLOW_PROTOCOL=http:https:git
	# shellcheck disable=SC2016 # git's shell expands it
	local login='!printf "username=%s\npassword=%s\n" "$FETCH_USER" "$FETCH_PASSWORD"; :'
	local options=(-c core.hooksPath=/dev/null)
	if [[ -n ${FETCH_USER-} ]]; then
		options+=(-c credential.helper= -c credential.helper="$login")
	fi
	git init -q --template= "$pack" && cd "$pack" || return
	git "${options[@]}" fetch -q --depth 1 -- "$FETCH_URL" "$FETCH_REF" || return
	git "${options[@]}" -c advice.detachedHead=false checkout -q FETCH_HEAD || return
	git "${options[@]}" submodule -q update --init --recursive --depth 1
}

cd "$here/build" || exit
case $program in
detect) exec "$pack/bin/detect" "$PWD" >"$here/out/detect-$n" ;;
compile) exec "$pack/bin/compile" "$PWD" "$here/cache" "$here/env" ;;
release) exec "$pack/bin/release" "$PWD" >"$here/out/release-$n" ;;
fetch) fetch ;;
*)
	echo "step: no program is called $program" >&2
	exit 2
	;;
esac
