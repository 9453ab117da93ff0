package chaos_test

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"niwa/platform/build/image/imagetest"
	"niwa/platform/platformtest"
	"niwa/platform/platformtest/chaos"
	"niwa/platform/platformtest/need"
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

// TestChaos has a platform of processes, and one of containers, lose what a
// SIGKILL takes of them, 25 times each, among which this seed has every aim
// there is. make chaos does it as often as one likes, with other seeds.
func TestChaos(t *testing.T) {
	need.Root(t)
	need.Tool(t, "git")
	need.Tool(t, "redis-server")
	postgres, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	need.Tool(t, "initdb", postgres...)
	app := build(t)
	for _, runtime := range strings.Fields(cmp.Or(os.Getenv("RUNTIME"), "process docker")) {
		t.Run(runtime, func(t *testing.T) {
			if runtime == "docker" {
				need.Tool(t, "dockerd")
				need.Tool(t, "ip")
				imagetest.Engine(t)
			}
			kill(t, chaos.Config{
				Niwa: platformtest.Build(t), App: app, Runtime: runtime,
				Kills: int(number(t, "KILLS", 25)), Seed: number(t, "SEED", 21),
			})
		})
	}
}

// build builds what the tenants deploy.
func build(t *testing.T) (app string) {
	app = filepath.Join(platformtest.Dir(t), "app")
	platformtest.Compile(t, "./platform/platformtest/chaos/testdata/app", app)
	return app
}

func kill(t *testing.T, cfg chaos.Config) {
	cfg.Keeper, cfg.Dir, cfg.Log = []string{"env", keeperVar + "=1", os.Args[0]}, platformtest.Dir(t), t.Logf
	report, err := chaos.Run(t.Context(), cfg)
	if err != nil {
		t.Error(err)
	}
	t.Logf("%v", report)
}

// number is what the environment says, or else the fallback.
func number(t *testing.T, name string, fallback uint64) uint64 {
	value := os.Getenv(name)
	if value == "" {
		return fallback
	}
	n, err := strconv.ParseUint(value, 10, 32)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}
