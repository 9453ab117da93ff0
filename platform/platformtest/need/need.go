// Package need lets a test ask for a tool of the machine. Without it the test
// is skipped with a reason that the test summary lists; with
// NIWA_TEST_REQUIRE=all, as in CI, it fails instead.
package need

import (
	"os"
	"os/exec"
	"testing"
)

// Tool returns the path of a program, looked up on PATH and then in the
// directories given.
func Tool(t testing.TB, name string, dirs ...string) string {
	t.Helper()
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	for _, dir := range dirs {
		if path, err := exec.LookPath(dir + "/" + name); err == nil {
			return path
		}
	}
	Reason(t, "needs "+name)
	return ""
}

// Root skips a test that only the superuser can run.
func Root(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		Reason(t, "needs root")
	}
}

// Reason skips the test, saying what it needs; or fails it where a skip is
// not allowed.
func Reason(t testing.TB, needs string) {
	t.Helper()
	if os.Getenv("NIWA_TEST_REQUIRE") == "all" {
		t.Fatalf("%s, and NIWA_TEST_REQUIRE=all allows no skip", needs)
	}
	t.Skip(needs)
}
