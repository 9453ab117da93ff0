#!/usr/bin/env bash
# Runs the programs of buildpacks in the folder of a build:
#
#   step build N LAST   bin/detect of N to LAST, until one detects the app, and
#                       then bin/compile and bin/release of that
#   step fetch N        makes N of a git repository
#
# What the builder has to know of the output is left in out/detect-N, for the
# one that detected the app, and in out/release-N, once that has been asked.
here=$PWD
program=$1
n=$2
export TMPDIR=$here/tmp

# What an earlier buildpack installed, the later ones may use.
for ((i = 0; i < n; i++)); do
	if [[ -f $here/buildpacks/$i/export ]]; then
		# shellcheck source=/dev/null
		source "$here/buildpacks/$i/export"
	fi
done

# A buildpack's programs begin in its folder, as on Heroku: some name files beside
# them by relative paths.
build() {
	local title
	until enter "$n" && "$pack/bin/detect" "$here/build" >"$here/out/detect-$n"; do
		rm -f "$here/out/detect-$n"
		if ((++n > $1)); then
			return 1
		fi
	done
	read -r title <"$here/out/detect-$n"
	echo "-----> ${title:+$title }app detected"
	compile
}

enter() {
	pack=$here/buildpacks/$1
	cd "$pack" || return
}

compile() {
	"$pack/bin/compile" "$here/build" "$here/cache" "$here/env"
	local status=$?
	rm -rf "$here/out/release-$n" # nobody has asked yet
	if ((status)); then
		return "$status"
	fi
	if [[ -f $pack/bin/release ]]; then
		"$pack/bin/release" "$here/build" >"$here/out/release-$n"
	fi
}

# git URLs may hold a password, which must not show in the process list.
fetch() {
	export GIT_TERMINAL_PROMPT=0 GIT_ALLOW_PROTOCOL=http:https:git
	# shellcheck disable=SC2016 # git's shell expands it
	local login='!printf "username=%s\npassword=%s\n" "$FETCH_USER" "$FETCH_PASSWORD"; :'
	local options=(-c core.hooksPath=/dev/null) commit=FETCH_HEAD
	if [[ -n ${FETCH_USER-} ]]; then
		options+=(-c credential.helper= -c credential.helper="$login")
	fi
	enter "$n" && git init -q --template= || return
	if [[ $FETCH_REF =~ ^[0-9a-f]{7,39}$ ]] && ! git "${options[@]}" ls-remote -q --exit-code -- "$FETCH_URL" "$FETCH_REF" >/dev/null; then
		# It is short for a commit, which only a whole repository can be asked for.
		git "${options[@]}" fetch -q -- "$FETCH_URL" '+refs/*:refs/of/*' || return
		commit=$FETCH_REF
	else
		git "${options[@]}" fetch -q --depth 1 -- "$FETCH_URL" "$FETCH_REF" || return
	fi
	git "${options[@]}" -c advice.detachedHead=false checkout -q "$commit" -- || return
	git "${options[@]}" submodule -q update --init --recursive --depth 1
}

case $program in
build) build "$3" ;;
fetch) fetch ;;
*)
	echo "step: no program is called $program" >&2
	exit 2
	;;
esac
