package cli

import (
	"net"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"niwa/platform/build/image/imagetest"
	"niwa/platform/dyno/pid1"
	"niwa/platform/platformtest/need"
)

// diagnose runs doctor on free ports and returns its lines by subject.
func diagnose(t *testing.T, env []string, args ...string) (lines map[string]string, status int) {
	t.Helper()
	stdout, stderr, status := niwa(t, env, append([]string{"doctor", "--api", "127.0.0.1:0", "--router", "127.0.0.1:0", "--router-tls", "127.0.0.1:0"}, args...)...)
	lines = map[string]string{}
	for line := range strings.Lines(stdout) {
		fields := regexp.MustCompile(` {2,}`).Split(strings.TrimSpace(line), 3)
		if len(fields) != 3 {
			t.Fatalf("doctor says %q (stderr %q)", line, stderr)
		}
		lines[fields[1]] = fields[0] + ": " + fields[2]
	}
	return lines, status
}

func TestDoctorSaysWhatIsMissingAndWhatThatDisables(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "git"), "#!/bin/sh\necho git version 9.9\n")
	write(t, filepath.Join(dir, "psql"), "#!/bin/sh\nexit 1\n")
	data := filepath.Join(t.TempDir(), "not", "yet")
	lines, status := diagnose(t, []string{"PATH=" + dir, "DOCKER_HOST=unix:///nowhere/docker.sock"}, "--data", data)
	want := map[string]string{
		"git":     "ok: " + dir + "/git (git version 9.9)",
		"heroku":  "missing: disables niwa heroku",
		"go":      "missing: disables deploying Go apps; install it from https://go.dev/dl, or --runtime docker",
		"psql":    "note: " + dir + "/psql is here but does not run",
		"runtime": "ok: process: no Docker engine answers at unix:///nowhere/docker.sock",
		"data":    "ok: " + data + " (made at first start)",
		"disk":    "ok: ",
		"files":   "ok: ",
		"api":     "ok: 127.0.0.1:0 is free",
	}
	for what, line := range want {
		if !strings.HasPrefix(lines[what], line) {
			t.Errorf("%s: %q, want %q", what, lines[what], line)
		}
	}
	if lines["heroku-redis"] == "" || lines["heroku-postgresql"] == "" || lines["user"] == "" {
		t.Errorf("no word of the engines or the user in %v", lines)
	}
	if status != 0 {
		t.Errorf("status %d, want 0: niwa can start", status)
	}
}

// bare is the environment of a machine that has nothing: doctor takes seconds
// to ask each tool which it is.
func bare(t *testing.T) []string {
	t.Helper()
	return []string{"PATH=" + t.TempDir(), "DOCKER_HOST=unix:///nowhere/docker.sock"}
}

func TestDoctorFailsWhenNiwaCouldNotStart(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	file := filepath.Join(t.TempDir(), "file")
	write(t, file, "")
	lines, status := diagnose(t, bare(t), "--data", filepath.Join(file, "data"), "--router", taken.Addr().String())
	if status != 1 {
		t.Errorf("status %d, want 1", status)
	}
	if !strings.HasPrefix(lines["router"], "problem: "+taken.Addr().String()+" cannot be had") || !strings.Contains(lines["router"], "--router") {
		t.Errorf("router: %q", lines["router"])
	}
	if !strings.HasPrefix(lines["data"], "problem: ") {
		t.Errorf("data: %q", lines["data"])
	}
}

func TestDoctorKnowsThatARunningNiwaHoldsItsPorts(t *testing.T) {
	data := dataDir(t, "localhost:5100")
	hold(t, data)
	lines, status := diagnose(t, bare(t), "--data", data)
	if status != 0 || !strings.HasPrefix(lines["niwa"], "ok: runs already (pid ") || lines["api"] != "" {
		t.Errorf("status %d, %v", status, lines)
	}
}

func TestDoctorListsTheVersionsThatBuildsFind(t *testing.T) {
	answer := func(dir, name, said string) { write(t, filepath.Join(dir, name), "#!/bin/sh\necho "+said+"\n") }
	first, second := t.TempDir(), t.TempDir()
	answer(first, "ruby", "9.1.0")
	answer(first, "bundle", "")
	answer(first, "node", "v9.2.0")
	answer(first, "python3", "9.13.1")
	answer(second, "python3.12", "9.12.4")
	answer(second, "python3.13", "9.13.1") // by another name
	answer(second, "python3.12-config", "none")
	answer(second, "php", "9.3.0")
	answer(second, "composer", "")
	answer(second, "go", "go9.4")
	lines, _ := diagnose(t, []string{"PATH=" + first + ":" + second}, "--runtime", "process", "--data", t.TempDir())
	for what, want := range map[string]string{
		"ruby":   "ok: 9.1.0 (" + first + "/ruby)",
		"nodejs": "ok: 9.2.0 (" + first + "/node), without npm",
		"python": "ok: 9.13.1 (" + first + "/python3), 9.12.4 (" + second + "/python3.12)",
		"php":    "ok: 9.3.0 (" + second + "/php)",
		"go":     "ok: 9.4 (" + second + "/go), and others through GOPROXY",
	} {
		if lines[what] != want {
			t.Errorf("%s: %q, want %q", what, lines[what], want)
		}
	}
}

func TestDoctorListsTheVersionsOfTheStackImage(t *testing.T) {
	if _, err := pid1.Program(); err != nil {
		need.Reason(t, "needs a test program without cgo: "+err.Error())
	}
	imagetest.Stack(t)
	lines, status := diagnose(t, nil, "--runtime", "docker", "--data", t.TempDir())
	for what, want := range map[string]string{
		"ruby": "ok: 3.1.2 (/usr/bin/ruby)", "python": "ok: 3.11.2 (/usr/bin/python3)", "php": "ok: 8.2.", "java": "ok: 17.0.", "clojure": "ok: Leiningen (/usr/bin/lein)",
		"nodejs": "ok: ", "go": "ok: 1.",
	} {
		if !strings.HasPrefix(lines[what], want) {
			t.Errorf("%s: %q, want %q", what, lines[what], want)
		}
	}
	if status != 0 {
		t.Errorf("status %d", status)
	}
}
