package cli

import (
	"net"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
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
	write(t, filepath.Join(dir, "node"), "#!/bin/sh\nexit 1\n")
	data := filepath.Join(t.TempDir(), "not", "yet")
	lines, status := diagnose(t, []string{"PATH=" + dir, "DOCKER_HOST=unix:///nowhere/docker.sock"}, "--data", data)
	want := map[string]string{
		"git":     "ok: " + dir + "/git (git version 9.9)",
		"heroku":  "missing: disables niwa heroku",
		"go":      "missing: disables deploying Go apps",
		"psql":    "missing: disables heroku pg:psql",
		"node":    "note: " + dir + "/node is here but does not run",
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

func TestDoctorFailsWhenNiwaCouldNotStart(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	file := filepath.Join(t.TempDir(), "file")
	write(t, file, "")
	lines, status := diagnose(t, nil, "--data", filepath.Join(file, "data"), "--router", taken.Addr().String())
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
	lines, status := diagnose(t, nil, "--data", data)
	if status != 0 || !strings.HasPrefix(lines["niwa"], "ok: runs already (pid ") || lines["api"] != "" {
		t.Errorf("status %d, %v", status, lines)
	}
}
