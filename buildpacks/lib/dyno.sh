# shellcheck shell=sh
# DYNO_RAM is the memory of the dyno in MB. A dyno whose memory is limited has
# a /proc/meminfo of its own; elsewhere that is the machine's, which it shares
# with other dynos, and the smallest dyno's is assumed.
if [ -z "${DYNO_RAM:-}" ]; then
	DYNO_RAM=512
	if grep -q ' /proc/meminfo ' /proc/self/mountinfo 2>/dev/null; then
		DYNO_RAM=$(awk '/^MemTotal:/ { print int($2 / 1024) }' /proc/meminfo)
	fi
	export DYNO_RAM
fi
