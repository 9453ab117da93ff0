# shellcheck shell=bash disable=SC2154 # cache, env_dir, java_version are common.sh's and jvm.sh's
# Puts back what the last build left in the build folder, where all that decides it
# is as it was then: tools of the JVM take seconds to find out that they have
# nothing to do. Sourced after jvm.sh.
kept=$cache/again

# restore_build COMMAND FILE... returns 1 where something has changed: the source
# with its modes, the config vars, the tools, whose FILEs may be missing; or the
# version of the source, which is another one in each build, where the source asks
# for it. It sets made_of for keep_build.
restore_build() {
	made_of=$(all_that_decides "$@")
	if [[ ! -f $kept/made_of || $(<"$kept/made_of") != "$made_of" ]] || ! lend_folder "$kept/build" .; then
		return 1
	fi
	step "Restoring the last build: neither the source nor its tools have changed"
}

all_that_decides() {
	local folder
	{
		echo "$1, $java_version, $(uname -sm), ${MAVEN_MIRROR_URL-}"
		cat "$0" "$JAVA_HOME/release"
		if in_stack; then
			cat /etc/niwa-stack /var/lib/dpkg/status
		fi
		cat -- "${@:2}" 2>/dev/null || true
		if grep -rqiE 'source[_-]version' .; then
			echo "$SOURCE_VERSION"
		fi
		for folder in . ${env_dir:+"$env_dir"}; do
			(cd "$folder" && find . -type f -printf '%p %m\n' -o -type l -printf '%p %l\n' | sort && find . -type f -print0 | sort -z | xargs -0r sha256sum)
		done
	} | sha256sum
}

# keep_build keeps what a build has left. Where libraries may be others tomorrow,
# nothing should be kept: forget_build.
keep_build() {
	rm -rf "$kept"
	keep_folder . "$kept/build"
	echo "$made_of" >"$kept/made_of"
}

forget_build() { rm -rf "$kept"; }
