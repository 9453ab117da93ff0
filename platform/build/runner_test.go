package build

import (
	"os"
	"path/filepath"
	"testing"

	"niwa/platform/dyno"
	"niwa/platform/dyno/process"
	"niwa/platform/proc"
)

func newRunner(t testing.TB) dyno.Runner {
	t.Helper()
	dir := reachable(t)
	table, err := proc.Open(filepath.Join(dir, "procs"))
	if err != nil {
		t.Fatal(err)
	}
	return process.New(process.Config{Dir: filepath.Join(dir, "dynos"), Procs: table, Path: os.Getenv("PATH")})
}
