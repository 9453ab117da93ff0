# shellcheck shell=bash disable=SC2154 # here, cache and env_dir are common.sh's
# Puts back what the last build left in the build folder, where all that decides it
# is as it was then: tools take longer to find out that they have nothing to do.
kept=$cache/again

# restore_build TOOLS FILE... returns 1 where something has changed: the source
# with its modes, the config vars, the environment, the buildpack, what TOOLS says of
# the tools, their FILEs, which may be missing, and the packages that Debian has
# installed; or the version of the source, which is another one in each build, where
# the source asks for it. It sets made_of for keep_build.
restore_build() {
	made_of=$(all_that_decides "$@")
	if [[ ! -f $kept/made_of || $(<"$kept/made_of") != "$made_of" ]] || ! unspoilt "$kept/build"; then
		return 1
	fi
	step "Restoring the last build: neither the source nor its tools have changed"
	find . -mindepth 1 -delete # a build may remove files, too
	cp -al "$kept/build/." .
}

all_that_decides() {
	local folders=(. "$here" "$here/../lib" ${env_dir:+"$env_dir"})
	{
		echo "$1, $(uname -sm)"
		cat -- "${@:2}" /etc/niwa-stack /var/lib/dpkg/status 2>/dev/null || true
		env | grep -vE '^(NIWA_.*|REQUEST_ID|SOURCE_VERSION|HOSTNAME|OLDPWD|SHLVL|_)=' | sort
		if grep -rqiE 'source[_-]version' .; then
			echo "$SOURCE_VERSION"
		fi
		find "${folders[@]}" -type f -printf '%p %m\n' -o -type l -printf '%p %l\n' | sort
		find "${folders[@]}" -type f -print0 | sort -z | xargs -0r sha256sum
	} | sha256sum
}

# keep_build keeps what a build has left. Files that are made after that are to be
# new ones in a restored build, too. Where libraries may be others tomorrow, nothing
# should be kept: forget_build.
keep_build() {
	rm -rf "$kept"
	keep_folder . "$kept/build"
	echo "$made_of" >"$kept/made_of"
}

forget_build() { rm -rf "$kept"; }
