package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gofrs/flock"

	"niwa/platform/instance"
)

// TestMain lets the test binary be niwa, for what only a process of its own
// can show: an exit status, what is executed in its place.
func TestMain(m *testing.M) {
	if os.Getenv("NIWA_CLI_TEST_MAIN") != "" {
		os.Exit(Run(context.Background(), Program{Version: "test"}, os.Args[1:], os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// niwa runs a command line in a process of its own, with exactly the
// environment given besides PATH and HOME.
func niwa(t *testing.T, env []string, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Env = append([]string{"NIWA_CLI_TEST_MAIN=1", "PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}, env...)
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	err = cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out.String(), problems.String(), cmd.ProcessState.ExitCode()
}

// dataDir makes a data directory as a first start leaves it.
func dataDir(t *testing.T, api string) string {
	t.Helper()
	data := filepath.Join(t.TempDir(), "it's a data dir")
	write(t, filepath.Join(data, "token"), "t0ken")
	write(t, filepath.Join(data, "ca", "ca.pem"), "-----BEGIN CERTIFICATE-----\nours\n-----END CERTIFICATE-----\n")
	rec, err := json.Marshal(instance.Record{PID: os.Getpid(), API: "http://localhost:" + api[strings.LastIndex(api, ":")+1:], Router: "http://127.0.0.1:8080", RouterTLS: "https://127.0.0.1:8443", Runtime: "process", Reason: "asked for", Version: "test", StartedAt: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(data, "niwa.json"), string(rec))
	return data
}

// hold takes the data directory's lock, as a running niwa does.
func hold(t *testing.T, data string) *flock.Flock {
	t.Helper()
	lock := flock.New(filepath.Join(data, "niwa.lock"))
	if ok, err := lock.TryLock(); !ok || err != nil {
		t.Fatalf("lock: %v, %v", ok, err)
	}
	t.Cleanup(func() { lock.Unlock() })
	return lock
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o700); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// lookup reads variables from a list, as os.LookupEnv does from the process.
func lookup(env ...string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		for _, line := range env {
			if n, v, _ := strings.Cut(line, "="); n == name {
				return v, true
			}
		}
		return "", false
	}
}
