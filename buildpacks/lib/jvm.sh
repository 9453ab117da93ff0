# shellcheck shell=bash
# What the buildpacks of the Java virtual machine share: a JDK for the build,
# a Java for dynos, and how this machine reaches Maven repositories. Sourced
# after common.sh, which sets these.
# shellcheck disable=SC2154
: "$here" "$build" "$cache"

# property FILE NAME prints a property of a Java properties file, or nothing.
property() {
	if [[ -f $1 ]]; then
		sed -nE "s/^[[:space:]]*${2//./\\.}[[:space:]]*[=:[:space:]][[:space:]]*([^[:space:]]*).*/\1/p" "$1" | tail -n 1
	fi
}

# prepare_jvm gives the tools of the build the app's config vars, a JDK, and
# all that they need to fetch what they fetch.
prepare_jvm() {
	export_config '*'
	# These are about the app, not about the compiler.
	unset JAVA_OPTS JAVA_TOOL_OPTIONS JAVA_HOME CLASSPATH
	choose_jdk
	steer_jvm
}

# jdks lists the JDKs of this machine, "VERSION FOLDER" a line, the one on the
# PATH first.
jdks() {
	local home javac found=()
	if javac=$(command -v javac); then
		javac=$(readlink -f "$javac")
		found=("${javac%/bin/javac}")
	fi
	for home in "${found[@]}" /usr/lib/jvm/* /Library/Java/JavaVirtualMachines/*/Contents/Home; do
		if [[ -x $home/bin/javac && -f $home/release && ! -L $home ]]; then
			echo "$(sed -n 's/^JAVA_VERSION="\(.*\)"/\1/p' "$home/release") $home"
		fi
	done | awk '!seen[$0]++'
}

# major VERSION: 17 of 17.0.9, of openjdk-17 and of zulu-17.0.9; 8 of 1.8.
major() {
	local version=${1##*-}
	version=${version#1.}
	echo "${version%%[._+]*}"
}

# choose_jdk exports JAVA_HOME and the PATH for the JDK that system.properties
# asks for. Another update of the same release will do.
choose_jdk() {
	local asked version home had=() jdk
	asked=$(property "$build/system.properties" java.runtime.version)
	while read -r version home; do
		had+=("$version ($home)")
		if [[ -z ${JAVA_HOME-} && (-z $asked || $(major "$asked") == "$(major "$version")") ]]; then
			export JAVA_HOME=$home java_version=$version
		fi
	done < <(jdks)
	if ((${#had[@]} == 0)); then
		need_tool javac "A JDK" "Debian and Ubuntu: apt-get install default-jdk-headless"
	fi
	if [[ -z ${JAVA_HOME-} ]]; then
		jdk="that JDK (Debian and Ubuntu: openjdk-$(major "$asked")-jdk-headless)"
		fail "The app asks for Java $asked, and this machine has none of that release." \
			"On the PATH and in /usr/lib/jvm there are: $(commas "${had[@]}")." \
			"Change java.runtime.version in system.properties, $(or_get "$jdk")"
	fi
	export PATH=$JAVA_HOME/bin:$PATH
	step "Using OpenJDK $java_version of this machine"
	case $asked in
	"") warn "The Java version is not specified, and another machine may have another one." \
		"Say which in system.properties: java.runtime.version=$(major "$java_version")" ;;
	"$java_version" | "$(major "$java_version")" | *-"$java_version" | *-"$(major "$java_version")" | 1.8) ;;
	*) detail "in place of $asked, the update that system.properties asks for" ;;
	esac
}

commas() {
	local text
	text=$(printf ', %s' "$@")
	echo "${text:2}"
}

# steer_jvm makes every JVM of the build keep its files in the app's cache, and
# go to repositories the way this machine does: through its proxies, with its
# certificate authorities, neither of which Java reads from the environment.
steer_jvm() {
	local flags=(-Dfile.encoding=UTF-8 "-Duser.home=$cache/home" "-Djava.io.tmpdir=${TMPDIR:-/tmp}")
	mkdir -p "$cache/home"
	proxy_flags http "${http_proxy:-${HTTP_PROXY-}}"
	proxy_flags https "${https_proxy:-${HTTPS_PROXY-}}"
	if [[ -f ${SSL_CERT_FILE-} ]]; then
		trust "$SSL_CERT_FILE"
		flags+=("-Djavax.net.ssl.trustStore=$cache/trust/store" -Djavax.net.ssl.trustStoreType=jks)
	fi
	# In the environment, since what it holds is nobody's business in the list
	# of processes; indented_jvm keeps it out of the output.
	JAVA_TOOL_OPTIONS=$(printf "'%s' " "${flags[@]}")
	export JAVA_TOOL_OPTIONS
}

# proxy_flags SCHEME URL appends to flags.
proxy_flags() {
	local url=${2#*://} login=
	if [[ -z $2 ]]; then
		return
	fi
	url=${url%%/*}
	if [[ $url == *@* ]]; then
		login=${url%@*}
		url=${url##*@}
		flags+=("-D$1.proxyUser=${login%%:*}" "-D$1.proxyPassword=${login#*:}")
	fi
	flags+=("-D$1.proxyHost=${url%:*}")
	if [[ $url == *:* ]]; then
		flags+=("-D$1.proxyPort=${url##*:}")
	fi
	local none
	none=$(unproxied)
	if [[ -n $none ]]; then
		flags+=("-Dhttp.nonProxyHosts=$none")
	fi
}

# unproxied prints what NO_PROXY has, as Java has it.
unproxied() { tr -d '[:space:]' <<<"${no_proxy:-${NO_PROXY-}}" | sed 's/,/|/g; s/\(^\||\)\./\1*./g'; }

# trust PEM keeps a key store of the certificates in a PEM file.
trust() {
	if [[ -f $cache/trust/store ]] && cmp -s "$1" "$cache/trust/pem"; then
		return
	fi
	mkdir -p "$cache/trust"
	javac -d "$cache/trust" "$here/../lib/TrustStore.java"
	java -cp "$cache/trust" TrustStore "$1" "$cache/trust/store"
	cp "$1" "$cache/trust/pem"
}

# indented_jvm COMMAND... is indented for programs that start JVMs, without
# colours. A copy of the output stays in cache/build.log.
indented_jvm() {
	"$@" 2>&1 </dev/null | sed -u -e '/Picked up JAVA_TOOL_OPTIONS: /d' -e $'s/\033\\[[0-9;]*m//g' |
		tee "$cache/build.log" | details
}

# network_hint says what to do where the output speaks of a repository out of
# reach.
network_hint() {
	if grep -qiE 'unknown host|UnknownHostException|could not transfer|connection refused|connection timed out|network is unreachable|Temporary failure in name resolution' "$cache/build.log"; then
		warn "A repository could not be reached. Try again when it can be, or name a mirror in MAVEN_MIRROR_URL."
	fi
}

# provide_java lets dynos find Java: in .jdk of the slug where they have none
# of their own, else where this build found it.
provide_java() {
	local size
	rm -rf "$build/.jdk"
	mkdir -p "$build/.profile.d"
	cp "$here/../lib/dyno.sh" "$build/.profile.d/000_dyno.sh"
	cp "$here/../lib/jvm-dyno.sh" "$build/.profile.d/010_jvm.sh"
	if in_stack; then
		step "Adding Java $java_version to the slug"
		# The archive of classes goes by the times of files, which links keep.
		if ! cmp -s "$JAVA_HOME/release" "$cache/jre.of" || ! lend_folder "$cache/jre" "$build/.jdk"; then
			make_jre
			lend_folder "$cache/jre" "$build/.jdk"
		fi
		size=$(du -sm "$build/.jdk")
		detail "${size%%[[:space:]]*} MB in .jdk"
	else
		printf 'JAVA_HOME=%q\n' "$JAVA_HOME" >"$build/.profile.d/005_java_home.sh"
	fi
	if [[ -d $build/.jdk-overlay ]]; then
		if [[ -d $build/.jdk ]]; then
			cp -R --remove-destination "$build/.jdk-overlay/." "$build/.jdk/"
		else
			warn ".jdk-overlay has no effect: dynos run on this machine's own JDK."
		fi
	fi
	# What later buildpacks may use.
	# shellcheck disable=SC2016 # expanded where it is read
	printf 'export JAVA_HOME=%q\nexport PATH=$JAVA_HOME/bin:$PATH\n' "$JAVA_HOME" >>"$here/export"
}

# make_jre leaves a Java without its compilers in cache/jre, with the archive
# of its own classes that makes it start in half the time.
make_jre() {
	rm -rf "$cache/jre"
	if ! copy_jre >"$cache/build.log" 2>&1; then
		sed '/Picked up/d' "$cache/build.log" | details
		fail "Java for the slug cannot be made of $JAVA_HOME; the lines above say why."
	fi
	# Debian's is a link out of the JDK.
	rm -f "$cache/jre/lib/security/cacerts"
	cp -L "$JAVA_HOME/lib/security/cacerts" "$cache/jre/lib/security/cacerts"
	"$cache/jre/bin/java" -Xshare:dump >"$cache/build.log" 2>&1 || true
	folder_state "$cache/jre" >"$cache/jre.is"
	cp "$JAVA_HOME/release" "$cache/jre.of"
}

copy_jre() {
	if [[ -d $JAVA_HOME/jmods ]] || jlink --help 2>/dev/null | grep -q 'run-time image enabled'; then
		# It ends soon: what is compiled first will do.
		jlink -J-XX:TieredStopAtLevel=1 -J-XX:+UseSerialGC --add-modules "$(runtime_modules)" --strip-debug --no-man-pages --no-header-files --output "$cache/jre" && return
		rm -rf "$cache/jre"
	fi
	mkdir "$cache/jre"
	tar -C "$JAVA_HOME" --exclude ./jmods --exclude ./demo --exclude ./man --exclude ./include --exclude ./docs --exclude '*src.zip' -ch . |
		tar -C "$cache/jre" -x
}

# runtime_modules are all that is no tool of a developer's.
runtime_modules() {
	local modules=() name
	while IFS=@ read -r name _; do
		case $name in
		jdk.compiler | jdk.javadoc | jdk.jlink | jdk.jpackage | jdk.jshell | jdk.jdeps | jdk.jdi | jdk.jconsole | jdk.jstatd | jdk.editpad | jdk.hotspot.agent | jdk.internal.ed | jdk.internal.le | jdk.internal.md | jdk.internal.opt | jdk.internal.vm.* | jdk.graal.*) ;;
		*) modules+=("$name") ;;
		esac
	done < <(java --list-modules 2>/dev/null)
	commas "${modules[@]}" | tr -d ' '
}

# maven_mirror FILE writes settings of Maven's that name this machine's mirror.
maven_mirror() {
	cat >"$1" <<-END
		<settings><mirrors><mirror>
		  <id>mirror</id><mirrorOf>external:*</mirrorOf><url>$(xml "$MAVEN_MIRROR_URL")</url>
		</mirror></mirrors></settings>
	END
}

# xml TEXT prints it for an element of XML.
xml() { sed 's/&/\&amp;/g; s/</\&lt;/g' <<<"$1"; }

# maven_fetch GROUP:ARTIFACT:VERSION sets jar to where the jar is, which Maven
# fetches from where it fetches everything. As an extension of a build it comes
# without a plugin having to come first.
maven_fetch() {
	local group artifact version project=$cache/fetch options=()
	IFS=: read -r group artifact version <<<"$1"
	jar=$cache/home/.m2/repository/${group//.//}/$artifact/$version/$artifact-$version.jar
	if [[ -f $jar ]]; then
		return
	fi
	mkdir -p "$project"
	cat >"$project/pom.xml" <<-END
		<project><modelVersion>4.0.0</modelVersion><groupId>fetch</groupId><artifactId>fetch</artifactId><version>1</version><packaging>pom</packaging>
		  <build><extensions><extension>
		    <groupId>$(xml "$group")</groupId><artifactId>$(xml "$artifact")</artifactId><version>$(xml "$version")</version>
		  </extension></extensions></build>
		</project>
	END
	if [[ -n ${MAVEN_MIRROR_URL-} ]]; then
		maven_mirror "$project/settings.xml"
		options=(-s "$project/settings.xml")
	fi
	mvn -B -q "${options[@]}" -f "$project/pom.xml" validate </dev/null >"$cache/build.log" 2>&1 && [[ -f $jar ]]
}
