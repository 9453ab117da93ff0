package platformtest_test

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"niwa/platform/platformtest"
	"niwa/platform/platformtest/need"
)

// BenchmarkPlatform measures what somebody waits for, and prints it beside
// what the same machine takes for something comparable in the same run: the
// times of two machines say little, the ratios more. Run it with make bench.
func BenchmarkPlatform(b *testing.B) {
	for _, tool := range []string{"go", "git", "redis-server", "heroku"} {
		need.Tool(b, tool)
	}
	need.Tool(b, "initdb", postgresDirs()...)
	binary, data := platformtest.Build(b), platformtest.Dir(b)
	p := platformtest.Up(b, binary, data)
	call(b, p, "POST", "/apps", map[string]any{"name": "users"}, 201)
	for _, plan := range []string{"heroku-postgresql:essential-0", "heroku-redis:mini"} {
		call(b, p, "POST", "/apps/users/addons", map[string]any{"plan": plan}, 201)
	}
	platformtest.Await(b, "the add-ons", func() (string, bool) {
		var config map[string]string
		p.Call(b, "GET", "/apps/users/config-vars", nil, &config)
		return fmt.Sprint(len(config)), config["DATABASE_URL"] != "" && config["REDIS_URL"] != ""
	})
	dir := sample(b)
	cold := deployed(b, p, dir, 1)

	var pushes, builds, starts, clients []time.Duration
	for n := 2; n <= 6; n++ {
		pushes = append(pushes, deployed(b, p, dir, n))
		builds = append(builds, compiled(b, dir))
	}
	settled := resident(b, p.PID)
	redis := resident(b, child(b, p, "redis-server"))
	for range 5 {
		p.Stop(b)
		begin := time.Now()
		p = platformtest.Up(b, binary, data)
		starts = append(starts, time.Since(begin))
		begin = time.Now()
		if out, err := exec.Command("heroku", "--version").CombinedOutput(); err != nil {
			b.Fatalf("heroku --version: %v\n%s", err, out)
		}
		clients = append(clients, time.Since(begin))
	}
	atRest := resident(b, p.PID)

	var table bytes.Buffer
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "what\tmedian\tgoal\tbeside it, in the same run\tratio\n")
	row := func(what string, got []time.Duration, goal, peer string, beside []time.Duration) {
		fmt.Fprintf(w, "%s\t%.2f s\t%s\t%s: %.2f s\t%.2f\n", what, median(got).Seconds(), goal, peer, median(beside).Seconds(), float64(median(got))/float64(median(beside)))
	}
	row("niwa up to ready, native engines", starts, "2 s", "heroku --version", clients)
	row("push to first 200, warm caches", pushes, "10 s", "go build and run of the same change", builds)
	fmt.Fprintf(w, "resident memory after six deploys\t%d MB\t80 MB\tone redis-server: %d MB\t%.1f\n", settled>>10, redis>>10, float64(settled)/float64(redis))
	fmt.Fprintf(w, "resident memory at rest, just started\t%d MB\t80 MB\tone redis-server: %d MB\t%.1f\n", atRest>>10, redis>>10, float64(atRest)/float64(redis))
	fmt.Fprintf(w, "first push, cold caches\t%.0f s\t\t\t\n", cold.Seconds())
	w.Flush()
	fmt.Printf("\n%s\n", table.String())
}

func call(b *testing.B, p *platformtest.Program, method, path string, body any, want int) {
	b.Helper()
	if status := p.Call(b, method, path, body, nil); status != want {
		b.Fatalf("%s %s: %d, want %d", method, path, status, want)
	}
}

// sample is a git repository that holds the Go sample app.
func sample(b *testing.B) string {
	b.Helper()
	dir := platformtest.Dir(b)
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(platformtest.Root(), "sample-app", "go"))); err != nil {
		b.Fatal(err)
	}
	platformtest.Git(b, dir, os.Environ(), "init", "-q", "-b", "main")
	return dir
}

// deployed changes the app, pushes it, and returns how long it took from the
// push until the new release answered through the router.
func deployed(b *testing.B, p *platformtest.Program, dir string, n int) time.Duration {
	b.Helper()
	change := fmt.Sprintf("package main\n\n// change makes a new binary.\nconst change = %d\n", n)
	if err := os.WriteFile(filepath.Join(dir, "change.go"), []byte(change), 0o644); err != nil {
		b.Fatal(err)
	}
	platformtest.Git(b, dir, os.Environ(), "add", ".")
	platformtest.Git(b, dir, os.Environ(), "commit", "-q", "-m", fmt.Sprint("change ", n))
	env := p.Environment(b)
	url := "https" + strings.TrimPrefix(p.API, "http") + "/users.git"
	var before []struct{ Version int }
	p.Call(b, "GET", "/apps/users/releases", nil, &before)
	begin := time.Now()
	platformtest.Git(b, dir, env, "push", "-q", url, "main")
	platformtest.Await(b, "the new release", func() (string, bool) {
		var dynos []struct {
			State   string
			Release struct{ Version int }
		}
		p.Call(b, "GET", "/apps/users/dynos", nil, &dynos)
		return fmt.Sprint(dynos), len(dynos) == 1 && dynos[0].State == "up" && dynos[0].Release.Version == len(before)+1
	})
	resp, body, err := p.Get("users", "/health")
	if err != nil || resp.StatusCode != http.StatusOK {
		b.Fatalf("the app answers %v, %v: %s", resp, err, body)
	}
	return time.Since(begin)
}

// compiled is what the same change costs without a platform: compiling it with
// warm caches, and starting it (which here ends at once, without a database).
func compiled(b *testing.B, dir string) time.Duration {
	b.Helper()
	binary := filepath.Join(platformtest.Dir(b), "app")
	begin := time.Now()
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", binary, ".")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("go build: %v\n%s", err, out)
	}
	run := exec.Command(binary)
	run.Env = []string{"PORT=0"}
	_ = run.Run() // it says that DATABASE_URL is missing
	return time.Since(begin)
}

func median(all []time.Duration) time.Duration {
	slices.Sort(all)
	return all[len(all)/2]
}

// resident is the resident memory of a process in KB.
func resident(b testing.TB, pid int) int {
	b.Helper()
	out, err := exec.Command("ps", "-o", "rss=", "-p", fmt.Sprint(pid)).Output()
	if err != nil {
		b.Fatal(err)
	}
	var kb int
	if _, err := fmt.Sscan(string(out), &kb); err != nil {
		b.Fatal(err)
	}
	return kb
}

// child finds a child process of niwa by its program's name.
func child(b *testing.B, p *platformtest.Program, program string) int {
	b.Helper()
	out, err := exec.Command("ps", "-o", "pid=,args=", "--ppid", fmt.Sprint(p.PID)).Output()
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		var pid int
		if _, err := fmt.Sscan(line, &pid); err == nil && strings.Contains(line, program) {
			return pid
		}
	}
	b.Fatalf("niwa has no child %s:\n%s", program, out)
	return 0
}
