# shellcheck shell=bash disable=SC2154 # serve's
# Starts nginx in front of PHP-FPM. What an app includes finds the upstream
# heroku-fcgi and the location @heroku-fcgi, as on Heroku.
if [[ -z $include ]]; then
	include=$work/include.conf
	echo 'location / { index index.php index.html index.htm; }' >"$include"
fi
types=/etc/nginx/mime.types
if [[ ! -f $types ]]; then
	types=${HOME:-}/.heroku/packages$types
fi
parameters=""
for pair in QUERY_STRING=query_string REQUEST_METHOD=request_method CONTENT_TYPE=content_type CONTENT_LENGTH=content_length \
	SCRIPT_NAME=fastcgi_script_name REQUEST_URI=request_uri DOCUMENT_URI=document_uri DOCUMENT_ROOT=document_root \
	SERVER_PROTOCOL=server_protocol REQUEST_SCHEME=scheme REMOTE_ADDR=remote_addr REMOTE_PORT=remote_port \
	SERVER_ADDR=server_addr SERVER_PORT=server_port SERVER_NAME=host; do
	parameters+="fastcgi_param ${pair%%=*} \$${pair#*=};"
done
cat >"$work/nginx.conf" <<END
daemon off;
worker_processes auto;
pid $work/nginx.pid;
error_log stderr;
events {}
http {
	$([[ ! -f $types ]] || echo "include $types;")
	default_type application/octet-stream;
	sendfile on;
	keepalive_timeout 95;
	server_tokens off;
	access_log /proc/self/fd/1;
	client_body_temp_path $work/body;
	proxy_temp_path $work/proxy;
	fastcgi_temp_path $work/fastcgi;
	uwsgi_temp_path $work/uwsgi;
	scgi_temp_path $work/scgi;
	fastcgi_buffers 256 4k;
	upstream heroku-fcgi {
		server unix:$work/fpm.sock max_fails=3 fail_timeout=3s;
		keepalive 16;
	}
	server {
		listen $PORT;
		server_name localhost;
		port_in_redirect off;
		root "$root";
		location @heroku-fcgi {
			$parameters
			fastcgi_split_path_info ^(.+\.php)(/.*)\$;
			fastcgi_param GATEWAY_INTERFACE CGI/1.1;
			fastcgi_param SERVER_SOFTWARE nginx;
			fastcgi_param REDIRECT_STATUS 200;
			fastcgi_param SCRIPT_FILENAME \$document_root\$fastcgi_script_name;
			fastcgi_param PATH_INFO \$fastcgi_path_info if_not_empty;
			if (!-f \$document_root\$fastcgi_script_name) {
				return 404;
			}
			fastcgi_pass heroku-fcgi;
		}
		include "$include";
		location ~* /\.(?!well-known/) {
			deny all;
		}
		location ~* ^/(vendor/|composer\.(json|lock|phar)\$|Procfile\$) {
			deny all;
		}
		location ~ \.php {
			try_files @heroku-fcgi @heroku-fcgi;
		}
	}
}
END
run "$server" -e stderr -p "$work" -c "$work/nginx.conf"
