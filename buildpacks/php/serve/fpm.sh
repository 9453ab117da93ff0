# shellcheck shell=bash disable=SC2154 # serve's
# Starts PHP-FPM, at a socket that the web server knows, and waits for it.
cat >"$work/fpm.conf" <<END
[global]
error_log = /proc/self/fd/2
log_level = warning
log_limit = 10000
daemonize = no
[www]
listen = $work/fpm.sock
pm = static
pm.max_children = $WEB_CONCURRENCY
clear_env = no
catch_workers_output = yes
decorate_workers_output = no
php_admin_flag[log_errors] = on
php_value[error_log] = /proc/self/fd/2
${fpm_include:+include = $fpm_include}
END
if ((EUID == 0)); then
	stop "it does not run as root"
fi
run "$fpm" --nodaemonize --fpm-config "$work/fpm.conf" "${ini[@]}"
until [[ -S $work/fpm.sock ]]; do
	kill -0 "${running[-1]}" 2>/dev/null || stop "PHP-FPM has not started"
	sleep 0.05
done
