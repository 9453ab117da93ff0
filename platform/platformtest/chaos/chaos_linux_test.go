//go:build chaos

package chaos_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"niwa/platform/platformtest"
	"niwa/platform/platformtest/chaos"
)

// keeperVar makes this program the keeper of a run.
const keeperVar = "NIWA_CHAOS_KEEPER"

func TestMain(m *testing.M) {
	if os.Getenv(keeperVar) != "" {
		os.Unsetenv(keeperVar)
		if err := chaos.Keep(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func TestChaos(t *testing.T) {
	cfg := chaos.Config{
		Niwa: os.Getenv("CHAOS_NIWA"), Runtime: "process", Kills: 40, Patience: 1, Seed: uint64(time.Now().UnixNano() % 1_000_000),
		Keeper: []string{"env", keeperVar + "=1", os.Args[0]}, Dir: platformtest.Dir(t), Log: t.Logf,
	}
	if cfg.Niwa == "" {
		cfg.Niwa = platformtest.Build(t)
	}
	if n, err := strconv.Atoi(os.Getenv("KILLS")); err == nil {
		cfg.Kills = n
	}
	if n, err := strconv.ParseUint(os.Getenv("SEED"), 10, 64); err == nil {
		cfg.Seed = n
	}
	if v := os.Getenv("RUNTIME"); v != "" {
		cfg.Runtime = v
	}
	if n, err := strconv.Atoi(os.Getenv("PATIENCE")); err == nil {
		cfg.Patience = n
	}
	cfg.App = filepath.Join(cfg.Dir, "app")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", cfg.App, "./testdata/app")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	report, err := chaos.Run(t.Context(), cfg)
	if err != nil {
		t.Error(err)
	}
	t.Logf("%v", report)
}
