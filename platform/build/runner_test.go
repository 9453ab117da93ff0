package build

import (
	"os"
	"path/filepath"
	"testing"

	"niwa/platform/dyno"
	"niwa/platform/dyno/pid1"
	"niwa/platform/dyno/process"
	"niwa/platform/proc"
)

// TestMain lets this program be the first process of the dynos that it runs.
func TestMain(m *testing.M) {
	pid1.Main()
	os.Exit(m.Run())
}

func newRunner(t testing.TB) dyno.Runner {
	t.Helper()
	dir := reachable(t)
	table, err := proc.Open(filepath.Join(dir, "procs"))
	if err != nil {
		t.Fatal(err)
	}
	return process.New(process.Config{Dir: filepath.Join(dir, "dynos"), Procs: table, Path: os.Getenv("PATH")})
}
