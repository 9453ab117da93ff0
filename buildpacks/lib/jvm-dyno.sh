# shellcheck shell=bash
# Read by the shell of every dyno before the app's command: where Java is, how
# much memory it may take, and what its libraries call the app's databases.

if [[ -d $HOME/.jdk ]]; then
	JAVA_HOME=$HOME/.jdk
fi
if [[ -x ${JAVA_HOME-}/bin/java ]]; then
	export JAVA_HOME PATH="$JAVA_HOME/bin:$PATH"
else
	unset JAVA_HOME
fi

# Heroku's flags for the size of this dyno. The memory is named because a dyno
# may use more for a while before it is stopped, and a JVM would take that limit
# for its own.
jvm_options="-Dfile.encoding=UTF-8 -XX:MaxRAM=${DYNO_RAM}m"
case $DYNO_RAM in
512) jvm_options+=" -Xmx300m -Xss512k -XX:CICompilerCount=2" ;;
1024) jvm_options+=" -Xmx671m -XX:CICompilerCount=2" ;;
*) jvm_options+=" -XX:MaxRAMPercentage=80.0" ;;
esac
export JAVA_OPTS="$jvm_options${JAVA_OPTS:+ $JAVA_OPTS}"
case ${DYNO-} in
run.*) ;;
*)
	case ${DYNO-} in
	web.*) echo "Setting JAVA_TOOL_OPTIONS defaults based on dyno size. Custom settings will override them." >&2 ;;
	esac
	export JAVA_TOOL_OPTIONS="$jvm_options${JAVA_TOOL_OPTIONS:+ $JAVA_TOOL_OPTIONS}"
	;;
esac

# jvm_decoded TEXT is without its %XX.
jvm_decoded() {
	local text=${1//\\/\\\\}
	printf '%b' "${text//%/\\x}"
}

# jvm_jdbc URL PREFIX exports PREFIX_URL, PREFIX_USERNAME and PREFIX_PASSWORD
# for the database at a URL with a user and a password.
jvm_jdbc() {
	local scheme=${1%%://*} login=${1#*://} place query=
	place=${login##*@}
	if [[ $login != *:*@* ]]; then
		return
	fi
	login=${login%@*}
	place=${place%%#*}
	if [[ $place == *\?* ]]; then
		query="${place#*\?}&"
		place=${place%%\?*}
	fi
	query+="password=${login#*:}"
	case $scheme in
	postgres | postgresql)
		scheme=postgresql
		if [[ $query != *sslmode=* && ${CI-} != true ]]; then
			query+="&sslmode=require"
		fi
		;;
	mysql | mariadb) ;;
	*) return ;;
	esac
	export "$2_URL=jdbc:$scheme://$place?$query&user=${login%%:*}"
	export "$2_USERNAME=$(jvm_decoded "${login%%:*}")"
	export "$2_PASSWORD=$(jvm_decoded "${login#*:}")"
}

if [[ -n ${DATABASE_URL-} ]]; then
	jvm_jdbc "$DATABASE_URL" JDBC_DATABASE
	if [[ -n ${DATABASE_CONNECTION_POOL_URL-} ]]; then
		jvm_jdbc "$DATABASE_CONNECTION_POOL_URL" JDBC_DATABASE
		jvm_jdbc "$DATABASE_CONNECTION_POOL_URL" DATABASE_CONNECTION_POOL_JDBC
	fi
else
	jvm_jdbc "${JAWSDB_URL:-${JAWSDB_MARIA_URL:-${CLEARDB_DATABASE_URL-}}}" JDBC_DATABASE
fi
for jvm_name in "${!HEROKU_POSTGRESQL_@}"; do
	case $jvm_name in
	*_JDBC_URL) ;;
	*_URL) jvm_jdbc "${!jvm_name}" "${jvm_name%_URL}_JDBC" ;;
	esac
done

# Spring Boot reads these.
if [[ ${DISABLE_SPRING_DATASOURCE_URL-} != true && -n ${JDBC_DATABASE_URL-} && -z ${SPRING_DATASOURCE_URL-}${SPRING_DATASOURCE_USERNAME-}${SPRING_DATASOURCE_PASSWORD-} ]]; then
	export SPRING_DATASOURCE_URL=$JDBC_DATABASE_URL
	export SPRING_DATASOURCE_USERNAME=${JDBC_DATABASE_USERNAME-} SPRING_DATASOURCE_PASSWORD=${JDBC_DATABASE_PASSWORD-}
fi
if [[ ${DISABLE_SPRING_REDIS_URL-} != true && -n ${REDIS_URL-} ]]; then
	export SPRING_REDIS_URL="${SPRING_REDIS_URL:-$REDIS_URL}" SPRING_DATA_REDIS_URL="${SPRING_DATA_REDIS_URL:-$REDIS_URL}"
fi
unset -f jvm_decoded jvm_jdbc
unset jvm_name jvm_options
