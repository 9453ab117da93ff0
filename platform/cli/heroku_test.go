package cli

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"niwa/platform/platformtest/need"
)

// fakeHeroku puts a program on PATH that prints its arguments, one a line,
// then what body prints.
func fakeHeroku(t *testing.T, name, body string) (path string) {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, name), "#!/bin/sh\nfor a; do echo \"<$a>\"; done\n"+body+"\n")
	return "PATH=" + dir + ":/usr/bin:/bin"
}

func TestArgumentsAndExitStatusPassThrough(t *testing.T) {
	data := dataDir(t, "localhost:5100")
	hold(t, data)
	path := fakeHeroku(t, "heroku", "exit 7")
	stdout, stderr, status := niwa(t, []string{path}, "--data", data, "heroku", "run", "-x", "--app", "users", "--", "it's $HOME", "--data", "x")
	want := "<run>\n<-x>\n<--app>\n<users>\n<-->\n<it's $HOME>\n<--data>\n<x>\n"
	if stdout != want || status != 7 {
		t.Errorf("status %d, stderr %q\n%s", status, stderr, cmp.Diff(want, stdout))
	}
	if stdout, _, _ := niwa(t, []string{path, "NIWA_DATA=" + data}, "heroku", "--help"); stdout != "<--help>\n" {
		t.Errorf("--help: %q", stdout)
	}
}

func TestWithoutHerokuOnThePathNpxRunsIt(t *testing.T) {
	data := dataDir(t, "localhost:5100")
	hold(t, data)
	dir := t.TempDir()
	write(t, filepath.Join(dir, "npx"), "#!/bin/sh\necho npx \"$@\"\n")
	stdout, stderr, status := niwa(t, []string{"PATH=" + dir, "NIWA_DATA=" + data}, "heroku", "apps", "--json")
	if stdout != "npx heroku apps --json\n" || status != 0 {
		t.Errorf("status %d, stdout %q, stderr %q", status, stdout, stderr)
	}
	_, stderr, status = niwa(t, []string{"PATH=" + t.TempDir(), "NIWA_DATA=" + data}, "heroku", "apps")
	if status != 1 || !strings.Contains(stderr, "npm install --global heroku") {
		t.Errorf("with neither: status %d, stderr %q", status, stderr)
	}
}

func TestTheOfficialCLIIsPointedAtTheRunningNiwa(t *testing.T) {
	data := dataDir(t, "127.0.0.1:5999")
	hold(t, data)
	path := fakeHeroku(t, "heroku", `echo "$HEROKU_HOST $HEROKU_API_KEY $HEROKU_DATA_HOST"`)
	stdout, _, _ := niwa(t, []string{path, "HEROKU_HOST=https://api.example.test", "HEROKU_API_KEY=mine"}, "--data", data, "heroku")
	if want := "http://localhost:5999 t0ken localhost\n"; stdout != want {
		t.Errorf("got %q, want %q", stdout, want)
	}
	for _, args := range [][]string{{"login", "-i"}, {"auth:logout"}, {"auth", "login"}} {
		path := fakeHeroku(t, "heroku", `echo "${HEROKU_API_KEY-none}"`)
		stdout, _, _ := niwa(t, []string{path, "HEROKU_API_KEY=mine"}, append([]string{"--data", data, "heroku"}, args...)...)
		if !strings.HasSuffix(stdout, "none\n") {
			t.Errorf("%v: %q, want no HEROKU_API_KEY", args, stdout)
		}
	}
}

func TestHerokusOwnHostsAreReachedThroughNiwa(t *testing.T) {
	data := dataDir(t, "127.0.0.1:5999")
	hold(t, data)
	path := fakeHeroku(t, "heroku", `echo "${HTTP_PROXY-none} ${NO_PROXY-none}"`)
	env := []string{path, "HTTP_PROXY=http://corp:3128", "NO_PROXY=localhost"}
	for command, want := range map[string]string{
		"apps:favorites":  "http://localhost:5999 none\n",
		"plugins:install": "http://corp:3128 localhost,127.0.0.1\n",
		"local":           "http://corp:3128 localhost,127.0.0.1\n",
	} {
		if stdout, _, _ := niwa(t, env, "--data", data, "heroku", command); stdout != "<"+command+">\n"+want {
			t.Errorf("%s: %q, want %q", command, stdout, want)
		}
	}
}

func TestTheUsersGitConfigurationIsReadAndNeverWritten(t *testing.T) {
	git := need.Tool(t, "git")
	data := dataDir(t, "localhost:5100")
	hold(t, data)
	home := t.TempDir()
	mine := "[user]\n\tname = Niwashi\n"
	write(t, filepath.Join(home, ".gitconfig"), mine)
	// What the official CLI does at every command, and then a look at both.
	path := fakeHeroku(t, "heroku", git+` config --global credential.https://localhost:5100.helper '!heroku git:credentials' && `+
		git+` config user.name && `+git+` config --global credential.https://localhost:5100.helper`)
	for range 2 {
		stdout, stderr, status := niwa(t, []string{path, "HOME=" + home}, "--data", data, "heroku")
		if status != 0 || stdout != "Niwashi\n!heroku git:credentials\n" {
			t.Errorf("status %d, stdout %q, stderr %q", status, stdout, stderr)
		}
	}
	if got := read(t, filepath.Join(home, ".gitconfig")); got != mine {
		t.Errorf("~/.gitconfig is now %q", got)
	}
	if got := strings.Count(read(t, filepath.Join(data, "gitconfig")), "git:credentials"); got != 1 {
		t.Errorf("the private configuration names the CLI's helper %d times, want 1", got)
	}
}

func TestHerokuWithoutARunningNiwaSaysSoAtOnce(t *testing.T) {
	data := dataDir(t, "localhost:5100")
	_, stderr, status := niwa(t, []string{fakeHeroku(t, "heroku", "echo ran >&2")}, "--data", data, "heroku", "apps")
	if want := "niwa: niwa is not running on " + data + "; start it with \"niwa up\", or name another directory with --data\n"; status != 1 || stderr != want {
		t.Errorf("status %d, stderr %q, want %q", status, stderr, want)
	}
}

// The real CLI, as far as it goes without a platform: it starts, and leaves
// the user's configuration alone.
func TestTheRealCLIStartsInThisEnvironment(t *testing.T) {
	heroku := need.Tool(t, "heroku")
	data := dataDir(t, "localhost:5100")
	hold(t, data)
	home := t.TempDir()
	stdout, stderr, status := niwa(t, []string{"PATH=" + filepath.Dir(heroku) + ":" + os.Getenv("PATH"), "HOME=" + home}, "--data", data, "heroku", "commands", "--json")
	if status != 0 || !strings.Contains(stdout, `"addons:create"`) {
		t.Errorf("status %d, %d bytes, stderr %q", status, len(stdout), stderr)
	}
	if _, err := os.Stat(filepath.Join(home, ".gitconfig")); err == nil {
		t.Error("the CLI wrote ~/.gitconfig")
	}
	if _, err := exec.LookPath("git"); err == nil && !strings.Contains(read(t, filepath.Join(data, "gitconfig")), "credential") {
		t.Error("the CLI's credential helper is not in the private configuration: has it moved?")
	}
}
