# shellcheck shell=sh
# Says which versions of which languages builds find here, a line each:
# LANGUAGE, a tab, VERSION (PLACE) and what else. It runs no program but those it
# asks about, and says nothing of what is not here.
found() { printf '%s\t%s\n' "$1" "$2"; }
at() { command -v "$1" 2>/dev/null; }
said() { "$@" 2>/dev/null </dev/null; }

if path=$(at ruby) && version=$(said ruby -e 'print RUBY_VERSION'); then
	bundler=
	if ! at bundle >/dev/null; then bundler=', without Bundler'; fi
	found ruby "$version ($path)$bundler"
fi
if path=$(at node) && version=$(said node --version); then
	npm=
	if ! at npm >/dev/null; then npm=', without npm'; fi
	found nodejs "${version#v} ($path)$npm"
fi

# Every python3.N of the PATH counts; one may be reached by several names.
pythons=
IFS=:
for folder in $PATH; do
	for path in "$folder"/python3 "$folder"/python3.*; do
		case $path in *-config) continue ;; esac
		if [ -x "$path" ] && version=$(said "$path" -c 'import platform; print(platform.python_version())'); then
			case ", $pythons" in *", $version ("*) continue ;; esac
			pythons="${pythons:+$pythons, }$version ($path)"
		fi
	done
done
unset IFS
if [ "$pythons" ]; then found python "$pythons"; fi

# JDKs that go by the name of a folder in /usr/lib/jvm, and the one on the PATH.
jdks=
for home in /usr/lib/jvm/* /Library/Java/JavaVirtualMachines/*/Contents/Home; do
	if [ -x "$home/bin/javac" ] && [ -f "$home/release" ] && [ ! -L "$home" ]; then
		while IFS='=' read -r name version; do
			if [ "$name" = JAVA_VERSION ]; then
				version=${version#\"}
				jdks="${jdks:+$jdks, }${version%\"} ($home)"
			fi
		done <"$home/release"
	fi
done
if [ -z "$jdks" ] && path=$(at javac) && version=$(said javac -version); then jdks="${version#javac } ($path)"; fi
if [ "$jdks" ]; then
	tools=
	if at mvn >/dev/null; then tools="$tools, Maven ($(at mvn))"; fi
	if at gradle >/dev/null; then tools="$tools, Gradle ($(at gradle))"; fi
	found java "$jdks$tools"
	if path=$(at sbt); then
		found scala "the sbt that an app names, through $path"
	elif path=$(at mvn); then
		found scala "the sbt that an app names, which $path fetches"
	fi
	if path=$(at lein); then found clojure "Leiningen ($path)"; fi
fi

if path=$(at php) && version=$(said php -r 'echo PHP_VERSION;'); then
	composer=
	if ! at composer >/dev/null; then composer=', without Composer'; fi
	found php "$version ($path)$composer"
fi
if path=$(at go) && version=$(GOTOOLCHAIN=local said go env GOVERSION); then
	found go "${version#go} ($path), and others through GOPROXY"
fi
