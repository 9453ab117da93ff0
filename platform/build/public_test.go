package build

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"niwa/platform/platformtest/need"
)

// public is a buildpack that others publish at GitHub, with a small app for it.
type public struct {
	repo, commit string
	before       string // a buildpack of the app before this one
	tarball      bool   // it comes as GitHub's tarball of the commit, not by git
	fetches      string // what it needs of others, if anything
	reads        string // what it needs of its machine, if anything; the stack image has it
	app          []entry
	env          map[string]string
	command      string // in a dyno of the app says what the app is
	says         string // the end of it
}

// publics are Heroku's own and popular ones, as they were in the summer of 2026.
func publics() []public {
	script := func(name, text string) entry { return entry{name: name, text: "#!/bin/sh\n" + text, mode: 0o755} }
	text := func(name, text string) entry { return entry{name: name, text: text} }
	web := text("Procfile", "web: x\n")
	return []public{
		{repo: "heroku/heroku-buildpack-multi-procfile", commit: "cd15c681bfc33b9e877a5eed8af01febaa4c22c1", env: map[string]string{"PROCFILE": "services/web/Procfile"},
			app: []entry{text("services/web/Procfile", "web: echo hello\n")}, command: "cat Procfile", says: "web: echo hello\n"},
		{repo: "heroku/heroku-buildpack-inline", commit: "b8ebae80b0c2303ded0f73da22b24ad5c59cafb6",
			app:     []entry{script("bin/detect", "echo Ours\n"), script("bin/compile", "echo \"$3\" >\"$1/made\"\n"), script("bin/release", "echo '{default_process_types: {web: cat made}}'\n")},
			command: "cat made", says: "/env\n"},
		{repo: "weibeld/heroku-buildpack-run", commit: "dd648d6988f490dc1d896ae12ea79a17a5753af7", env: map[string]string{"BUILDPACK_RUN": "echo one >said:echo two >>said"},
			app: []entry{web}, command: "cat said", says: "one\ntwo\n"},
		{repo: "timanovsky/subdir-heroku-buildpack", commit: "6d1c9021ebccd1d55681fad1c22e244a86908fe2", env: map[string]string{"PROJECT_PATH": "garden"}, tarball: true,
			app: []entry{text("garden/Procfile", "web: cat moss\n"), text("garden/moss", "green\n")}, command: "cat moss", says: "green\n"},
		{repo: "lstoll/heroku-buildpack-monorepo", commit: "82e175c304f943b2c6d4083a085083ebae5cdd61", env: map[string]string{"APP_BASE": "apps/garden"},
			app: []entry{text("apps/garden/Procfile", "web: cat moss\n"), text("apps/garden/moss", "green\n")}, command: "cat moss", says: "green\n"},
		{repo: "heroku/heroku-buildpack-nginx", commit: "ba0e664bb490b9e5c39ecfaeb15da05fe6fa6675", before: "heroku/ruby",
			app:     append(files(gemfiles(gone, nil)), text("config/nginx.conf.erb", nginxConf), text("public/moss", "green\n"), web),
			command: "export PORT=5123; bin/start-nginx-solo >/tmp/log 2>&1 & for try in $(seq 100); do curl -sf http://127.0.0.1:5123/moss && break; sleep 0.1; done; kill $!; wait", says: "green\n"},
		{repo: "heroku/heroku-buildpack-pgbouncer", commit: "f8a9bb1005672b82bbc7c1dc37aff5d190a1d111", app: []entry{web}, command: "vendor/pgbouncer/bin/pgbouncer -V | head -n 1", says: "PgBouncer 1.24.1\n"},
		{repo: "heroku/heroku-buildpack-apt", commit: "b6a5d7b9fcc67cc073c87161a9f3bd24fea5d10e", reads: "/etc/apt/sources.list", tarball: true,
			app: []entry{web, text("Aptfile", "hello\n")}, command: "hello", says: "Hello, world!\n"},
		{repo: "heroku/heroku-buildpack-nodejs", commit: "4f394e954b4e8c438eee33c8146e4bc48f0e1ab7", fetches: "https://nodejs.org/dist/index.json",
			app: []entry{text("package.json", `{"name": "moss", "version": "1.0.0", "engines": {"node": "22.x"}, "scripts": {"start": "node -p 6*7"}}`)}, command: "npm start", says: "42\n"},
		{repo: "heroku/heroku-buildpack-python", commit: "b4e7e721dc39a097feb68305bbd7551578782992", fetches: "https://heroku-buildpack-python.s3.dualstack.us-east-1.amazonaws.com/python-3.13.15-ubuntu-24.04-amd64.tar.zst",
			app: []entry{text("requirements.txt", "six\n"), text(".python-version", "3.13\n"), web}, command: "python -c 'import six; print(6 * 7)'", says: "42\n"},
		{repo: "heroku/heroku-buildpack-go", commit: "1bc788f74bd8404657d38e9be75ad14277e9adab", fetches: "https://dl.google.com/go/go1.25.12.linux-amd64.tar.gz",
			app: []entry{text("go.mod", "module moss\n\ngo 1.25\n"), text("main.go", "package main\n\nfunc main() { println(42) }\n")}, command: "moss 2>&1", says: "42\n"},
	}
}

const nginxConf = `daemon off;
worker_processes 1;
events { worker_connections 64; }
http {
	access_log off;
	client_body_temp_path /tmp/body; proxy_temp_path /tmp/proxy; fastcgi_temp_path /tmp/fastcgi; uwsgi_temp_path /tmp/uwsgi; scgi_temp_path /tmp/scgi;
	server { listen <%= ENV["PORT"] %>; root /app/public; }
}
`

// BenchmarkPublicBuildpacks builds and runs an app with each of them, and prints
// which ran unchanged: from GitHub, or from MIRROR, a folder of bare repositories by
// the same names; on processes or, with RUNTIME=docker, in containers. Run it with
// make third-party.
func BenchmarkPublicBuildpacks(b *testing.B) {
	from, runtime, change := "https://github.com", os.Getenv("RUNTIME"), func(*Config) {}
	if runtime == "docker" {
		change = inContainers(b)
	}
	mirror := os.Getenv("MIRROR")
	if mirror != "" {
		from = mirrored(b, mirror)
	} else if err := answers(b.Context(), from); err != nil {
		need.Reason(b, fmt.Sprintf("needs GitHub, or MIRROR=folder: %v", err))
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprint(w, "\nbuildpack\tcommit\tby\toutcome\n")
	for _, p := range publics() {
		by, outcome := "git", "runs unchanged"
		if mirror != "" && runtime == "docker" {
			p.tarball = true // which containers need not reach
		}
		if p.tarball {
			by = "tarball"
		}
		if err := p.absent(b.Context(), runtime); err != nil {
			outcome = "not tried: " + err.Error()
		} else if lacks := ""; !b.Run(p.repo, func(b *testing.B) { lacks = p.deploy(newBench(b, change), from) }) {
			outcome = "FAILS"
		} else if lacks != "" {
			outcome = "builds, for another system: " + lacks
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", p.repo, p.commit[:7], by, outcome)
	}
	w.Flush()
}

// absent says why the buildpack cannot have what it needs.
func (p public) absent(ctx context.Context, runtime string) error {
	if p.reads != "" && runtime != "docker" {
		if _, err := os.ReadFile(p.reads); err != nil {
			return err
		}
	}
	if p.fetches == "" {
		return nil
	}
	return answers(ctx, p.fetches)
}

func answers(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("%s does not answer", req.Host)
	}
	if resp.StatusCode >= http.StatusBadRequest {
		err = fmt.Errorf("%s answers %s", req.Host, resp.Status)
	}
	return errors.Join(err, resp.Body.Close())
}

// deploy says what dynos here lack for what the buildpack brings, if anything.
func (p public) deploy(b *bench, from string) (lacks string) {
	url := fmt.Sprintf("%s/%s#%s", from, p.repo, p.commit)
	if p.tarball {
		url = fmt.Sprintf("%s/%s/archive/%s.tar.gz", from, p.repo, p.commit)
	}
	req := b.request(tarOf(b.t, p.app...))
	req.Env, req.Buildpacks = p.env, append(strings.Fields(p.before), url)
	_, err := b.Build(b.t.Context(), req)
	said := b.last.String()
	if err == nil {
		said += b.inDyno(req, p.command)
	}
	if lacks = regexp.MustCompile(`GLIBC_[0-9.]+' not found|lib[^ /:]+: cannot open shared object file`).FindString(said); lacks == "" && !strings.HasSuffix(said, p.says) {
		b.t.Errorf("the app is to say %q: %v\n%s", p.says, err, said)
	}
	return lacks
}

// mirrored serves what GitHub does of repositories: git, and tarballs of commits.
func mirrored(t testing.TB, folder string) string {
	t.Helper()
	git := need.Tool(t, "git")
	backend := &cgi.Handler{Path: git, Args: []string{"http-backend"}, Env: []string{"GIT_PROJECT_ROOT=" + folder, "GIT_HTTP_EXPORT_ALL=1",
		"GIT_CONFIG_COUNT=2", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*", "GIT_CONFIG_KEY_1=uploadpack.allowAnySHA1InWant", "GIT_CONFIG_VALUE_1=true"}}
	mux := http.NewServeMux()
	mux.Handle("/", backend)
	mux.HandleFunc("/{owner}/{name}/archive/{file}", func(w http.ResponseWriter, r *http.Request) {
		name, commit := r.PathValue("name"), strings.TrimSuffix(r.PathValue("file"), ".tar.gz")
		cmd := exec.CommandContext(r.Context(), git, "-c", "safe.directory=*", "--git-dir", filepath.Join(folder, r.PathValue("owner"), name), "archive", "--format=tar.gz", "--prefix="+name+"-"+commit+"/", commit)
		var said bytes.Buffer
		cmd.Stderr = &said
		out, err := cmd.Output()
		if err != nil {
			t.Error(errors.Join(err, errors.New(said.String())))
			http.Error(w, "no such commit", http.StatusNotFound)
			return
		}
		w.Write(out)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}
