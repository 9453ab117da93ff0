package build_test

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"niwa/platform/platformtest"
	"niwa/platform/platformtest/need"
)

// TestARailsAppIsDeployedAsItIs pushes one twice: without a Procfile, as Rails
// makes it; and with the Procfile of Heroku's manual, and its assets as they were.
func TestARailsAppIsDeployedAsItIs(t *testing.T) {
	need.Tool(t, "git")
	need.Tool(t, "initdb", "/usr/lib/postgresql/15/bin", "/usr/lib/postgresql/16/bin", "/usr/lib/postgresql/17/bin")
	dir := platformtest.Dir(t)
	if err := os.CopyFS(dir, os.DirFS("testdata/rails")); err != nil {
		t.Fatal(err)
	}
	lock(t, dir)
	p := platformtest.Up(t, platformtest.Build(t), platformtest.Dir(t), "--runtime", "process", "--engines", "native")
	a := p.Create(t, "notebook")
	if err := os.CopyFS(a.Dir, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}

	has(t, push(t, a), "-----> Preparing app for Rails asset pipeline", "Running: rake assets:precompile",
		"Compiling application.css beside postgres://127.0.0.1/dbname", "Default types for buildpack -> console, rake, web", "=== Adding heroku-postgresql")
	if diff := cmp.Diff(map[string]string{
		"rake": "bundle exec rake", "console": "bin/rails console", "web": "bin/rails server -p ${PORT:-5000} -e $RAILS_ENV",
	}, commands(t, a)); diff != "" {
		t.Errorf("process types (-want +got):\n%s", diff)
	}
	a.Settled(t, 1)
	a.Do(t, "POST", a.Path()+"/dynos", map[string]string{"command": "rake db:migrate && env && echo migrated"})
	platformtest.Await(t, "the migration", func() (string, bool) {
		log := a.Log(t, "")
		return log, strings.Contains(log, "]: migrated\n")
	})
	has(t, a.Log(t, ""), "create_table(:notes)", "RACK_ENV=production\n", "RAILS_ENV=production\n", "RAILS_LOG_TO_STDOUT=enabled\n",
		"RAILS_SERVE_STATIC_FILES=enabled\n", "SECRET_KEY_BASE=", "DATABASE_URL=postgres://")

	v := newVisitor(t, a)
	page := v.get("/")
	sheet := find(t, page, `href="(/assets/application-[0-9a-f]{64}\.css)"`)
	if got := v.get(sheet); got != "body { color: darkgreen; }\n" {
		t.Errorf("%s is %q", sheet, got)
	}
	has(t, a.Log(t, "web.1"), `Started GET "/"`)

	a.Write(t, "Procfile", "release: bundle exec rake db:migrate\nweb: bundle exec puma -C config/puma.rb\n")
	if said := push(t, a); strings.Contains(said, "Compiling ") {
		t.Errorf("the second build compiles assets that are as they were:\n%s", said)
	}
	a.Settled(t, 1)
	// The session of the first release is one of the second, by its SECRET_KEY_BASE.
	v.post("/notes", url.Values{"text": {"moss"}, "authenticity_token": {find(t, page, `name="csrf-token" content="([^"]+)"`)}})
	has(t, v.get("/"), "<li>moss</li>", sheet)
}

// lock locks the app to the gems of this machine.
func lock(t *testing.T, dir string) {
	t.Helper()
	cmd := exec.Command(need.Tool(t, "bundle"), "lock", "--local")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		need.Reason(t, "needs Rails (Debian: apt-get install ruby-rails ruby-pg puma): "+string(out))
	}
}

// push returns what git shows of it.
func push(t *testing.T, a *platformtest.App) string {
	t.Helper()
	a.Commit(t)
	cmd := exec.Command("git", "push", a.Repository(), "main")
	cmd.Dir, cmd.Env = a.Dir, a.Environment(t)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git push: %v\n%s", err, out)
	}
	return string(out)
}

// commands are those of the app's process types.
func commands(t *testing.T, a *platformtest.App) map[string]string {
	t.Helper()
	var formation []struct{ Type, Command string }
	a.Call(t, "GET", a.Path()+"/formation", nil, &formation)
	all := map[string]string{}
	for _, f := range formation {
		all[f.Type] = f.Command
	}
	return all
}

func has(t *testing.T, text string, parts ...string) {
	t.Helper()
	if i := slices.IndexFunc(parts, func(part string) bool { return !strings.Contains(text, part) }); i >= 0 {
		t.Errorf("%q is missing in:\n%s", parts[i], text)
	}
}

func find(t *testing.T, text, pattern string) string {
	t.Helper()
	found := regexp.MustCompile(pattern).FindStringSubmatch(text)
	if found == nil {
		t.Fatalf("no %s in:\n%s", pattern, text)
	}
	return found[1]
}

// visitor is a browser at an app.
type visitor struct {
	t    *testing.T
	app  *platformtest.App
	http http.Client
}

func newVisitor(t *testing.T, a *platformtest.App) *visitor {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &visitor{t: t, app: a, http: http.Client{Jar: jar, CheckRedirect: stay}}
}

func (v *visitor) get(path string) string { return v.do(http.StatusOK, http.MethodGet, path, nil) }

func (v *visitor) post(path string, form url.Values) {
	v.do(http.StatusFound, http.MethodPost, path, form)
}

// do returns the body of an answer that has to have a status.
func (v *visitor) do(status int, method, path string, form url.Values) string {
	v.t.Helper()
	req, err := http.NewRequest(method, v.app.Router+path, strings.NewReader(form.Encode()))
	if err != nil {
		v.t.Fatal(err)
	}
	req.Host = v.app.Name + "." + v.app.Domain
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := v.http.Do(req)
	if err != nil {
		v.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != status {
		v.t.Fatalf("%s %s: %s %v\n%s", method, path, resp.Status, err, body)
	}
	return string(body)
}
