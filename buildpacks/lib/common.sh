# shellcheck shell=bash
# What the built-in buildpacks share. bin/compile begins with
#
#	set -euo pipefail
#	here=$(cd "$(dirname "$0")/.." && pwd)
#	source "$here/../lib/common.sh"
#
# and then has its arguments as build, cache and env_dir: absolute paths of
# folders that are there.
build=$(cd "$1" && pwd)
cache=$(mkdir -p "$2" && cd "$2" && pwd)
env_dir=${3-}

# Output in Heroku's style: a step, a detail of it, and what needs attention,
# a line for each argument.
step() { echo "-----> $*"; }
detail() { echo "       $*"; }
warn() { for line in "$@"; do echo " !     $line" >&2; done; }

# fail LINE... ends the build. The first line says what is wrong, the others
# what to change.
fail() {
	warn "$@"
	exit 1
}

# details prints its standard input as details, without the passwords that URLs
# of package sources may have.
details() { sed -u -E 's|://[^/@[:space:]]*@|://|g; s/^/       /'; }

# indented COMMAND... runs it with its output as details; its status is the
# command's.
indented() { "$@" 2>&1 | details; }

# in_stack says that this build runs in the stack image, whose languages are
# there for builds alone: what dynos need of them comes with the slug.
in_stack() { [[ -e /etc/niwa-stack ]]; }

# need_tool PROGRAM LANGUAGE HOW ends the build where the program is missing.
# HOW says what to install: "Debian and Ubuntu: apt-get install golang-go".
need_tool() {
	if command -v "$1" >/dev/null; then
		return
	fi
	local or=
	if ! in_stack; then
		or=", or start niwa with --runtime docker, which brings it,"
	fi
	fail "$2 is not installed on this machine, or not on the PATH of builds." \
		"Install it ($3)$or and push again."
}

# or_get WHAT ends what a message advises, for a version that is not here: where
# to have it, and what says which are.
or_get() {
	if in_stack; then
		echo "or start niwa with --runtime process on a machine that has $1; niwa doctor lists what builds find."
	else
		echo "or install $1 on this machine, on the PATH of niwa; niwa doctor lists what builds find."
	fi
}

# config NAME prints a config var, or nothing.
config() { if [[ -f $env_dir/$1 ]]; then cat "$env_dir/$1"; fi; }

# export_config PATTERN... exports the config vars whose names match one of the
# patterns. Names that would break this shell or the tools that it runs stay
# out.
export_config() {
	local file name pattern
	for file in "$env_dir"/*; do
		name=${file##*/}
		case $name in
		PATH | HOME | TMPDIR | GIT_DIR | CPATH | CPPATH | LD_PRELOAD | LIBRARY_PATH | LD_LIBRARY_PATH | PYTHONHOME) continue ;;
		BASH* | SHELLOPTS | ENV | IFS | UID | EUID | PPID | here | build | cache | env_dir) continue ;;
		esac
		for pattern in "$@"; do
			# shellcheck disable=SC2053 # it is a pattern
			if [[ -f $file && $name == $pattern ]]; then
				export "$name=$(<"$file")"
				break
			fi
		done
	done
}

# keep_folder FOLDER KEPT keeps a folder of the build in the cache, and lend_folder
# puts it into another build. Both have the same files under two names: a link is
# made, and removed, in a tenth of the time of a copy. A build should replace such a
# file rather than write to it; where one has been written to, nothing is lent, and
# lend_folder returns 1.
keep_folder() {
	rm -rf "$2" "$2.is"
	mkdir -p "$(dirname "$2")"
	cp -al "$1" "$2"
	folder_state "$2" >"$2.is"
}

lend_folder() {
	unspoilt "$1" || return
	mkdir -p "$2"
	cp -alf "$1/." "$2"
}

# unspoilt KEPT returns 1, and drops what is left of it, where the folder is not
# there as it was kept.
unspoilt() {
	if [[ ! -d $1 || ! -f $1.is || $(<"$1.is") != "$(folder_state "$1")" ]]; then
		rm -rf "$1" "$1.is"
		return 1
	fi
}

# own_file FILE gives the build a copy of a file that is to be written to.
own_file() { if [[ -f $1 ]]; then cp -p "$1" "$1.own" && mv "$1.own" "$1"; fi; }

# folder_state FOLDER changes with every file in it that is written to.
folder_state() {
	(cd "$1" && find . -type d -printf '%p %m\n' -o -printf '%p %m %s %T@ %l\n') | sort | sha256sum
}

# hook NAME runs the app's own bin/NAME, if it has one.
hook() {
	if [[ ! -f $build/bin/$1 ]]; then
		return
	fi
	step "Running bin/$1"
	chmod +x "$build/bin/$1"
	(cd "$build" && "bin/$1" "$build" "$cache" "$env_dir") || fail "bin/$1 failed; the lines above say why."
}

# profile puts the buildpack's profile/*.sh where the shell of every dyno
# reads them before the app's command, after lib/dyno.sh, which says how much
# memory the dyno has.
profile() {
	mkdir -p "$build/.profile.d"
	# shellcheck disable=SC2154 # the buildpack's
	cp "$here/../lib/dyno.sh" "$build/.profile.d/000_dyno.sh"
	cp "$here"/profile/*.sh "$build/.profile.d/"
}
