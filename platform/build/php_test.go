package build

import (
	"archive/zip"
	"bytes"
	"crypto/sha1"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"niwa/platform/platformtest/need"
)

// composerRepository serves one package as a Composer repository does, and
// returns what composer.lock says of it.
func composerRepository(t testing.TB) (server *httptest.Server, locked map[string]any) {
	t.Helper()
	var dist bytes.Buffer
	z := zip.NewWriter(&dist)
	for name, text := range map[string]string{
		"moss/composer.json": `{"name": "garden/moss"}`,
		"moss/src/Moss.php":  `<?php namespace Garden; class Moss { static function green() { return "green"; } }`,
	} {
		w, err := z.Create(name)
		if err == nil {
			_, err = w.Write([]byte(text))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	server = httptest.NewServer(mux)
	t.Cleanup(server.Close)
	locked = map[string]any{
		"name": "garden/moss", "version": "1.0.0", "type": "library",
		"dist":     map[string]string{"type": "zip", "url": server.URL + "/moss.zip", "shasum": fmt.Sprintf("%x", sha1.Sum(dist.Bytes()))},
		"require":  map[string]string{"ext-json": "*"},
		"autoload": map[string]any{"psr-4": map[string]string{"Garden\\": "src/"}},
	}
	mux.HandleFunc("/moss.zip", func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "moss.zip", time.Time{}, bytes.NewReader(dist.Bytes()))
	})
	mux.HandleFunc("/packages.json", func(w http.ResponseWriter, r *http.Request) {
		json.NewEncoder(w).Encode(map[string]any{"packages": map[string]any{"garden/moss": map[string]any{"1.0.0": locked}}})
	})
	return server, locked
}

// composerFiles are composer.json and composer.lock of an app.
func composerFiles(t testing.TB, repository string, require map[string]string, locked ...any) map[string]string {
	t.Helper()
	platform := map[string]string{}
	for name, version := range require {
		if !strings.Contains(name, "/") {
			platform[name] = version
		}
	}
	text := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	return map[string]string{
		"composer.json": text(map[string]any{
			"require": require, "config": map[string]any{"secure-http": false},
			"repositories": []any{map[string]any{"type": "composer", "url": repository}, map[string]any{"packagist.org": false}},
		}),
		"composer.lock": text(map[string]any{
			"content-hash": "0", "packages": append([]any{}, locked...), "packages-dev": []any{}, "aliases": []any{}, "minimum-stability": "stable",
			"stability-flags": map[string]any{}, "prefer-stable": false, "prefer-lowest": false, "platform": platform, "platform-dev": map[string]any{},
			"plugin-api-version": "2.3.0",
		}),
	}
}

func needPHP(t testing.TB) {
	t.Helper()
	for _, tool := range []string{"php", "composer", "curl"} {
		need.Tool(t, tool)
	}
}

// ask is a command of a dyno that serves, asks for two pages, and ends.
func ask(t testing.TB, serve string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	return fmt.Sprintf(`export PORT=%d; %s >/tmp/log 2>&1 &
for try in $(seq 200); do page=$(curl -sf http://127.0.0.1:$PORT/) && break; kill -0 $! || break; sleep 0.1; done
echo "$page; hidden $(curl -s -o /dev/null -w '%%{http_code}' http://127.0.0.1:$PORT/.env)"
[ "$page" ] || cat /tmp/log
kill $!; wait`, port, serve)
}

func TestPHPAppIsBuiltFromAComposerRepositoryAndServed(t *testing.T) {
	needPHP(t)
	repository, locked := composerRepository(t)
	app := composerFiles(t, repository.URL, map[string]string{"php": ">=7.4", "garden/moss": "1.0.0"}, locked)
	app["public/index.php"] = `<?php require __DIR__ . "/../vendor/autoload.php"; echo Garden\Moss::green(), " by ", php_sapi_name();`
	app["public/.env"] = "SECRET=1\n"
	b := newBench(t, nil)
	req := b.request(tarOf(t, files(app)...))
	result, _ := b.build(req)
	b.last.has(t, "-----> PHP app detected\n", "-----> Checking platform requirements\n", "Installing garden/moss (1.0.0)")
	if diff := cmp.Diff(map[string]string{"web": "heroku-php-apache2"}, result.ProcessTypes); diff != "" {
		t.Errorf("process types (-want +got):\n%s", diff)
	}
	for name, test := range map[string]struct {
		tools          []string
		command, serve string
	}{
		"apache":   {[]string{"apache2", "php-fpm8.2"}, "heroku-php-apache2 public", "fpm-fcgi"},
		"nginx":    {[]string{"nginx", "php-fpm8.2"}, "vendor/bin/heroku-php-nginx public", "fpm-fcgi"},
		"built-in": {nil, only + " heroku-php-apache2 public", "cli-server"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, tool := range test.tools {
				need.Tool(t, tool, "/usr/sbin")
			}
			if got, want := b.in(t).inDyno(req, ask(t, test.command)), "green by "+test.serve+"; hidden 403\n"; got != want {
				t.Errorf("the answer is %q, want %q", got, want)
			}
		})
	}

	repository.Close()
	app["public/more.php"] = "<?php\n"
	b.build(b.request(tarOf(t, files(app)...)))
	b.last.has(t, "Nothing to install, update or remove\n")
}

// describesPHP is what the buildpack asks PHP about itself.
const describesPHP = `echo PHP_VERSION; foreach (get_loaded_extensions() as $e) echo " $e ", phpversion($e);`

// only runs a command where there is PHP and neither Apache nor nginx.
const only = `mkdir /tmp/bin; for tool in bash php sed basename dirname realpath mktemp rm sort head; do ln -s $(command -v $tool) /tmp/bin/; done
PATH=$HOME/.heroku/php/bin:/tmp/bin`

func TestPHPAppThatCannotBeBuiltSaysWhatToChange(t *testing.T) {
	needPHP(t)
	b := newBench(t, nil)
	require := func(name, version string) map[string]string {
		return composerFiles(t, gone, map[string]string{name: version})
	}
	_, locked := composerRepository(t)
	locked["dist"].(map[string]string)["url"] = gone + "/moss.zip"
	for name, test := range map[string]struct {
		app  map[string]string
		says string
	}{
		"no lock file":      {map[string]string{"composer.json": `{"require": {"garden/moss": "1.0.0"}}`}, " !     composer.json asks for packages, and there is no composer.lock"},
		"JSON that is none": {map[string]string{"composer.json": `{"require": `}, " !     composer.json is no JSON"},
		"an extension that is not here": {require("ext-gardening", "*"),
			" !     Install them (Debian and Ubuntu: apt-get install php-gardening) and push again."},
		"a package out of reach": {composerFiles(t, gone, map[string]string{"garden/moss": "1.0.0"}, locked), " !     The packages of the app cannot be installed"},
	} {
		t.Run(name, func(t *testing.T) {
			b := b.in(t)
			if got := b.reject(b.request(tarOf(t, files(test.app)...))); got != "Push rejected, failed to compile PHP app." {
				t.Errorf("the error is %q", got)
			}
			b.last.has(t, test.says)
		})
	}
}

func TestAPageOfPHPAloneIsAnApp(t *testing.T) {
	needPHP(t)
	b := newBench(t, nil)
	req := b.request(tarOf(t, entry{name: "index.php", text: `<?php echo "hello";`}))
	b.build(req)
	b.last.has(t, " !     There is no composer.json")
	if got := b.inDyno(req, ask(t, only+" heroku-php-apache2")); got != "hello; hidden 403\n" {
		t.Errorf("the answer is %q", got)
	}
}
