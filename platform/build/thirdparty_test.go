package build

import (
	"fmt"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"niwa/platform/build/manifest"

	"niwa/platform/platformtest/need"
)

// miniature is a third-party buildpack in small: it uses every argument and
// speaks to the buildpack after it.
func miniature(name string) []entry {
	return []entry{
		{name: "bin/detect", mode: 0o755, text: "#!/bin/sh\necho 'a warning' >&2\necho " + name + "\n"},
		{name: "bin/compile", mode: 0o755, text: `#!/bin/sh
set -e
here=$(cd "$(dirname "$0")/.." && pwd)
echo "       ` + name + ` compiles with GREETING=$(cat "$3/GREETING")"
echo "       count $(cat "$2/count" 2>/dev/null || echo 0)"
echo $(($(cat "$2/count" 2>/dev/null || echo 0) + 1)) >"$2/count"
{
	echo "pwd has $(cat README)"
	echo "stack $STACK, version $SOURCE_VERSION, before $BEFORE"
	echo "secret ${GREETING-is not in the environment}"
} >"$1/seen-by-` + name + `"
echo 'export BEFORE="${BEFORE}` + name + ` "' >"$here/export"
`},
		{name: "bin/release", mode: 0o755, text: `#!/bin/sh
cat <<END
---
addons: [heroku-redis:mini]
config_vars:
  FROM: ` + name + `
default_process_types:
  web: serve ` + name + `
  console: irb
END
`},
		{name: "README", text: "more than bin"},
	}
}

func serve(t *testing.T, handler http.Handler) string {
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

func TestBuildpacksOfOthersRunUnchangedFromTarballAndGit(t *testing.T) {
	tgz := gzipped(t, tarOf(t, miniature("Bonsai")...)).Bytes()
	mux := http.NewServeMux()
	mux.HandleFunc("/bonsai.tgz", func(w http.ResponseWriter, _ *http.Request) { w.Write(tgz) })
	repository, _ := gitServer(t, "moss.git", miniature("Moss"))
	mux.Handle("/git/", repository)
	url := serve(t, mux)
	withPassword := strings.Replace(url, "http://", "http://me:s3cret@", 1)

	b := newBench(t, nil)
	source := func() Request {
		req := b.request(tarOf(t, entry{name: "Procfile", text: "web: bin/mine\n"}, entry{name: ".git/HEAD", text: "x"}))
		req.Env = map[string]string{"GREETING": "good day"}
		req.Buildpacks = []string{url + "/bonsai.tgz", withPassword + "/git/moss.git#v1"}
		return req
	}
	result, slug := b.build(source())
	want := Result{
		ProcessTypes: map[string]string{"web": "bin/mine", "console": "irb"},
		Buildpacks:   []string{url + "/bonsai.tgz", strings.Replace(withPassword, "s3cret", "xxxxx", 1) + "/git/moss.git#v1"},
		Description:  "Moss",
		Setup:        []manifest.Addon{{Plan: "heroku-redis:mini"}},
		Config:       map[string]string{"FROM": "Moss"},
		Size:         result.Size, Checksum: result.Checksum,
	}
	if diff := cmp.Diff(want, result); diff != "" {
		t.Errorf("result (-want +got):\n%s", diff)
	}
	if !strings.HasPrefix(result.Checksum, "SHA256:") || result.Size == 0 {
		t.Errorf("size %d and checksum %q", result.Size, result.Checksum)
	}
	seen := "pwd has more than bin\nstack heroku-24, version abc123, before %s\nsecret is not in the environment\n"
	for name, before := range map[string]string{"Bonsai": "", "Moss": "Bonsai "} {
		if diff := cmp.Diff(fmt.Sprintf(seen, before), slug["seen-by-"+name].text); diff != "" {
			t.Errorf("what %s saw (-want +got):\n%s", name, diff)
		}
	}
	if _, ok := slug[".git/HEAD"]; ok {
		t.Error("the slug has .git")
	}
	b.last.has(t,
		"-----> Using buildpacks:\n       1. http", "-----> Bonsai app detected\n", "-----> Moss app detected\n",
		"Procfile declares types     -> web\n       Default types for buildpack -> console\n",
		"count 0\n", "count 1\n")
	if strings.Contains(b.last.String(), "s3cret") {
		t.Errorf("the output shows a password:\n%s", b.last)
	}

	b.build(source())
	b.last.has(t, "count 2\n", "count 3\n")
	if err := b.PurgeCache(t.Context(), b.app); err != nil {
		t.Fatal(err)
	}
	b.build(source())
	b.last.has(t, "count 0\n")
}

func TestABuildpackIsFoundByTheBeginningOfItsCommit(t *testing.T) {
	repository, commit := gitServer(t, "moss.git", miniature("Moss"))
	url := strings.Replace(serve(t, repository), "http://", "http://me:s3cret@", 1)
	for _, rev := range []string{commit, commit[:7]} {
		b := newBench(t, nil)
		req := b.request(tarOf(t, entry{name: "x"}))
		req.Env = map[string]string{"GREETING": "hi"}
		req.Buildpacks = []string{url + "/git/moss.git#" + rev}
		b.build(req)
		b.last.has(t, "-----> Moss app detected\n")
	}
}

// gitServer serves one repository, with a tag v1 behind the branch, to who
// logs in. It returns the commit of the tag, too.
func gitServer(t *testing.T, name string, entries []entry) (_ http.Handler, v1 string) {
	git := need.Tool(t, "git")
	dir := t.TempDir()
	work := filepath.Join(dir, name)
	run := func(args ...string) string {
		cmd := exec.Command(git, append([]string{"-C", work, "-c", "user.name=x", "-c", "user.email=x@y", "-c", "init.defaultBranch=main"}, args...)...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	if err := os.MkdirAll(work, 0o755); err != nil {
		t.Fatal(err)
	}
	run("init", "-q")
	for _, e := range entries {
		path := filepath.Join(work, e.name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(e.text), 0o644|os.FileMode(e.mode)); err != nil {
			t.Fatal(err)
		}
	}
	run("add", ".")
	run("commit", "-q", "-m", "all of it")
	run("tag", "v1")
	v1 = run("rev-parse", "HEAD")
	run("rm", "-q", "-r", "bin")
	run("commit", "-q", "-m", "a branch that is no buildpack")

	backend := &cgi.Handler{
		Path: git, Args: []string{"http-backend"},
		Root: "/git", Env: []string{"GIT_PROJECT_ROOT=" + dir, "GIT_HTTP_EXPORT_ALL=1", "REMOTE_USER=me"},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "me" || password != "s3cret" {
			w.Header().Set("WWW-Authenticate", `Basic realm="garden"`)
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		backend.ServeHTTP(w, r)
	}), v1
}

func TestTarballOfABranchIsABuildpackToo(t *testing.T) {
	var entries []entry
	for _, e := range miniature("Bonsai") {
		e.name = "bonsai-main/" + e.name
		entries = append(entries, e)
	}
	url := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Write(tarOf(t, entries...).Bytes())
	}))
	b := newBench(t, nil)
	req := b.request(tarOf(t, entry{name: "x"}))
	req.Env = map[string]string{"GREETING": "hi", "BUILDPACK_URL": url + "/main.tar.gz"}
	if result, _ := b.build(req); result.Description != "Bonsai" {
		t.Errorf("the app is described as %q", result.Description)
	}
}

func TestBuildpackThatCannotBeUsedIsNamed(t *testing.T) {
	change := func(name string, to entry) []byte {
		var entries []entry
		for _, e := range miniature("Bonsai") {
			if e.name == name {
				e = to
			}
			if e.name != "" {
				entries = append(entries, e)
			}
		}
		return tarOf(t, entries...).Bytes()
	}
	script := func(name, text string) entry { return entry{name: name, mode: 0o755, text: "#!/bin/sh\n" + text} }
	served := map[string][]byte{
		"/no-compile.tar":  change("bin/compile", entry{}),
		"/no-mode.tar":     change("bin/compile", entry{name: "bin/compile"}),
		"/no-detect.tar":   change("bin/detect", script("bin/detect", "exit 1")),
		"/fails.tar":       change("bin/compile", script("bin/compile", "printf 'half a line'; exit 7")),
		"/bad-release.tar": change("bin/release", script("bin/release", "echo '- a'")),
		"/no-release.tar":  change("bin/release", script("bin/release", "exit 4")),
		"/big-release.tar": change("bin/release", script("bin/release", "head -c 300000 /dev/zero")),
		"/evil.tar":        tarOf(t, entry{name: "../bin/detect"}).Bytes(),
		"/big.tar":         make([]byte, 3<<20),
	}
	url := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if body, ok := served[r.URL.Path]; ok {
			w.Header().Set("Content-Length", strconv.Itoa(len(body)))
			w.Write(body)
			return
		}
		http.NotFound(w, r)
	}))
	for pack, says := range map[string]string{
		"heroku/cobol":              "heroku/cobol is not among the buildpacks here (",
		"file:///etc":               `"file:///etc" is not a buildpack`,
		"heroku/go":                 "failed to detect set buildpack heroku/go",
		url + "/gone.tgz":           "cannot be fetched: the server answers 404 Not Found",
		url + "/no-compile.tar":     "is not a buildpack: it has no bin/compile",
		url + "/no-mode.tar":        "is not executable",
		url + "/no-detect.tar":      "failed to detect set buildpack",
		url + "/fails.tar":          "failed to compile Bonsai app",
		url + "/bad-release.tar":    "did not write the YAML it should: line 1",
		url + "/no-release.tar":     "bin/release of " + url + "/no-release.tar failed with status 4",
		url + "/big-release.tar":    "too large",
		url + "/evil.tar":           "leads out",
		url + "/big.tar":            "larger than 2M",
		url + "/not-there":          "cannot be fetched with git",
		"http://127.0.0.1:1/x.tgz":  "connection refused",
		"https://u:pw@[::1/bad.tgz": "is not a buildpack",
	} {
		t.Run(pack[strings.LastIndex(pack, "/")+1:], func(t *testing.T) {
			b := newBench(t, func(c *Config) { c.Limits.Buildpack = 2 << 20 })
			req := b.request(tarOf(t, entry{name: "x"}))
			req.Env = map[string]string{"GREETING": "hi"}
			req.Buildpacks = []string{pack}
			message := b.reject(req)
			if !strings.Contains(message, says) || strings.Contains(message, "pw@") {
				t.Errorf("the error is %q, want %q in it", message, says)
			}
			b.last.has(t, "\n !     "+strings.Split(message, "\n")[0]+"\n", "\n !     Push failed\n")
		})
	}
}
