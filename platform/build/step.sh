#!/usr/bin/env bash
# Runs the programs of buildpacks in the folder of a build:
#
#   step detect N LAST   bin/detect of N to LAST, until one detects the app
#   step compile N       bin/compile of N, and then its bin/release
#   step fetch N         makes N of a git repository
#
# What the builder has to know of the output is left in out/detect-N, for the
# one that detected the app, and in out/release-N, once that has been asked.
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

detect() {
	local i
	for ((i = n; i <= $1; i++)); do
		if "$here/buildpacks/$i/bin/detect" "$PWD" >"$here/out/detect-$i"; then
			return
		fi
		rm -f "$here/out/detect-$i"
	done
	return 1
}

compile() {
	"$pack/bin/compile" "$PWD" "$here/cache" "$here/env"
	local status=$?
	rm -rf "$here/out/release-$n" # nobody has asked yet
	if ((status)); then
		return "$status"
	fi
	if [[ -f $pack/bin/release ]]; then
		"$pack/bin/release" "$PWD" >"$here/out/release-$n"
	fi
}

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
detect) detect "$3" ;;
compile) compile ;;
fetch) fetch ;;
*)
	echo "step: no program is called $program" >&2
	exit 2
	;;
esac
