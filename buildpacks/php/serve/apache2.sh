# shellcheck shell=bash disable=SC2154 # serve's
# Starts Apache in front of PHP-FPM. It is configured from nothing, since what
# a machine serves otherwise is no part of the app.
modules=/usr/lib/apache2/modules
for folder in /usr/lib64/httpd/modules /usr/lib/httpd/modules "${HOME:-}/.heroku/packages/usr/lib/apache2/modules"; do
	if [[ -d $folder ]]; then
		modules=$folder
	fi
done
{
	for module in mpm_event unixd log_config authn_core authz_core authz_host access_compat dir mime setenvif env alias rewrite headers expires filter deflate negotiation proxy proxy_fcgi; do
		if [[ -f $modules/mod_$module.so ]]; then
			echo "LoadModule ${module}_module $modules/mod_$module.so"
		fi
	done
	cat <<-END
		ServerRoot "$work"
		PidFile "$work/httpd.pid"
		Mutex "fcntl:$work" default
		DefaultRuntimeDir "$work"
		Listen $PORT
		ServerName localhost
		ServerTokens Prod
		TraceEnable off
		KeepAliveTimeout 95
		ErrorLog /proc/self/fd/2
		LogFormat "%h %l %u %t \"%r\" %>s %b \"%{Referer}i\" \"%{User-Agent}i\"" heroku
		CustomLog /proc/self/fd/1 heroku
		TypesConfig /etc/mime.types
		DirectoryIndex index.php index.html index.htm
		DocumentRoot "$root"
		Define heroku-fcgi "unix:$work/fpm.sock|fcgi://heroku-fcgi"
		<Proxy "unix:$work/fpm.sock|fcgi://heroku-fcgi">
		    ProxySet min=0
		</Proxy>
		<Directory "$app">
		    Require all denied
		</Directory>
		<Directory "$root">
		    Options FollowSymLinks
		    AllowOverride All
		    CGIPassAuth On
		    Require all granted
		</Directory>
		<FilesMatch "^(\.|composer\.(json|lock|phar)\$|Procfile\$)">
		    Require all denied
		</FilesMatch>
		<DirectoryMatch "/\.(?!well-known/)">
		    Require all denied
		</DirectoryMatch>
		<Directory "$app/vendor">
		    Require all denied
		</Directory>
		<FilesMatch \.php\$>
		    <If "-f %{REQUEST_FILENAME}">
		        SetHandler proxy:fcgi://heroku-fcgi
		    </If>
		</FilesMatch>
		${include:+Include "$include"}
	END
} >"$work/httpd.conf"
run "$server" -d "$work" -f "$work/httpd.conf" -D FOREGROUND
