package build

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"niwa/platform/build/image/imagetest"
	containers "niwa/platform/dyno/docker"
	"niwa/platform/dyno/pid1"
	"niwa/platform/platformtest/need"
	"niwa/platform/stack"
	sampleapp "niwa/sample-app"
)

// BenchmarkBuilds builds each sample app three times, on processes and in
// containers, and prints how long that took: with an empty cache, with what that
// build has left in it, and so with a file and a config var more. Run it with make
// bench-builds, for some of them with LANGUAGES="ruby php".
func BenchmarkBuilds(b *testing.B) {
	languages := strings.Fields(os.Getenv("LANGUAGES"))
	if len(languages) == 0 {
		languages = sampleapp.Languages()
	}
	runtimes := map[string]func(testing.TB) func(*Config){
		"process": func(testing.TB) func(*Config) { return nil },
		"docker":  inContainers,
	}
	var rows []string
	for _, lang := range languages {
		for runtime, change := range runtimes {
			b.Run(runtime+"/"+lang, func(b *testing.B) {
				first, second, changed := builtThrice(b, newBench(b, change(b)), lang)
				rows = append(rows, fmt.Sprintf("%s\t%s\t%.1f s\t%.1f s\t%.1f\t%.1f s\t%.1f\t\n", runtime, lang,
					first.Seconds(), second.Seconds(), float64(first)/float64(second), changed.Seconds(), float64(first)/float64(changed)))
			})
		}
	}
	slices.Sort(rows)
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "\nruntime\tlanguage\tfirst\tsecond\tratio\tchanged\tratio\t\n%s\n", strings.Join(rows, ""))
	w.Flush()
}

func builtThrice(b *testing.B, bench *bench, lang string) (first, second, changed time.Duration) {
	dir := b.TempDir()
	tree, err := sampleapp.Open(lang)
	if err := errors.Join(err, os.CopyFS(dir, tree)); err != nil {
		b.Fatal(err)
	}
	if lang == "ruby" { // whose registry need not be in reach
		script, err := filepath.Abs("../platformtest/samples/testdata/vendor.rb")
		vendor := exec.Command("ruby", script, "vendor/cache")
		vendor.Dir = dir
		if out, cmdErr := vendor.CombinedOutput(); err != nil || cmdErr != nil {
			need.Reason(b, fmt.Sprintf("needs Debian's packages of the app's gems: %v\n%s", errors.Join(err, cmdErr), out))
		}
	}
	timed := func(env map[string]string) time.Duration {
		var source bytes.Buffer
		w := tar.NewWriter(&source)
		if err := errors.Join(w.AddFS(os.DirFS(dir)), w.Close()); err != nil {
			b.Fatal(err)
		}
		req := bench.request(&source)
		req.Env = env
		began := time.Now()
		if _, err := bench.Build(b.Context(), req); err != nil {
			b.Fatalf("%v\n%s", err, bench.last)
		}
		return time.Since(began)
	}
	first, second = timed(nil), timed(nil)
	if err := os.WriteFile(filepath.Join(dir, "CHANGES"), []byte("one\n"), 0o644); err != nil {
		b.Fatal(err)
	}
	return first, second, timed(map[string]string{"REDIS_URL": "redis://cache"})
}

// inContainers has builds run in containers of the stack image.
func inContainers(t testing.TB) func(*Config) {
	t.Helper()
	first, err := pid1.Program()
	if err != nil {
		need.Reason(t, "needs a test program without cgo: "+err.Error())
	}
	engine := imagetest.Engine(t)
	s, err := stack.New(engine, "", t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	cfg := containers.Config{Engine: engine, Dir: filepath.Join(reachable(t), "dynos"), First: first, Shared: stack.Shared()}
	images, err := s.Ensure(t.Context())
	tools, toolErr := stack.Toolchains()
	if err := errors.Join(err, toolErr); err != nil {
		t.Fatal(err)
	}
	cfg.Stack, cfg.Toolchains = images, tools
	runner, err := containers.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := runner.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return func(c *Config) {
		c.Runner = runner
		delete(c.MachineEnv, "PATH")
		for _, name := range []string{"SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS"} {
			if _, ok := c.MachineEnv[name]; ok {
				c.MachineEnv[name] = stack.CAFile
			}
		}
	}
}
