package bench

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"niwa/platform/platformtest/need"
)

// setting is one way to load a proxy.
type setting struct {
	clients int
	body    string // 1k, 1m
	anew    bool   // a connection for each request
	tls     bool
}

func (s setting) String() string {
	words := []string{fmt.Sprintf("c=%d", s.clients), s.body, "keep-alive", "plain"}
	if s.anew {
		words[2] = "new"
	}
	if s.tls {
		words[3] = "TLS"
	}
	return strings.Join(words, " ")
}

func settings() (all []setting) {
	for _, tls := range []bool{false, true} {
		for _, anew := range []bool{false, true} {
			for _, body := range []string{"1k", "1m"} {
				for _, clients := range []int{64, 256} {
					all = append(all, setting{clients, body, anew, tls})
				}
			}
		}
	}
	return all
}

// sample is what one run showed.
type sample struct {
	cpu      float64 // microseconds for each request
	rps      float64
	p50, p99 time.Duration
}

// result is what the runs of a contender in one setting showed in the middle.
type result struct {
	setting setting
	name    string
	sample
	calls      float64 // system calls for each request
	ratio      float64 // of cpu to nginx's
	throughput float64 // of rps to nginx's
}

// BenchmarkRouters prints the table, and draws it into the file that PLOT names.
// ROUNDS and SECONDS make it shorter or longer, ONLY keeps the settings that match
// it.
func BenchmarkRouters(b *testing.B) {
	wrk := need.Tool(b, "wrk")
	perf := need.Tool(b, "perf")
	dir := b.TempDir()
	proxies := contenders(b, dir, backend(b, dir))
	only := regexp.MustCompile(os.Getenv("ONLY"))
	rounds := number("ROUNDS", 5)
	seconds := number("SECONDS", 3)
	for b.Loop() {
		var all []result
		fmt.Printf("%-26s %-8s %7s %6s %6s %8s %6s %9s %9s\n", "", "", "CPU µs", "ratio", "calls", "req/s", "ratio", "p50", "p99")
		for _, s := range settings() {
			if !only.MatchString(s.String()) {
				continue
			}
			got := make([][]sample, len(proxies))
			for range rounds {
				for i, p := range proxies {
					got[i] = append(got[i], load(b, wrk, p, s, seconds))
				}
			}
			results := settle(s, proxies, got)
			for i, p := range proxies {
				results[i].calls = calls(b, perf, wrk, p, s)
				fmt.Println(results[i])
			}
			all = append(all, results...)
		}
		if file := os.Getenv("PLOT"); file != "" {
			if err := plotTo(file, all); err != nil {
				b.Fatal(err)
			}
		}
	}
}

func (r result) String() string {
	return fmt.Sprintf("%-26s %-8s %7.1f %6.2f %6.1f %8.0f %6.2f %9v %9v", r.setting, r.name, r.cpu, r.ratio, r.calls, r.rps, r.throughput,
		r.p50.Round(10*time.Microsecond), r.p99.Round(10*time.Microsecond))
}

// settle takes the middle of each figure, and sets them against nginx's.
func settle(s setting, proxies []contender, got [][]sample) (results []result) {
	var base sample
	for i, p := range proxies {
		r := result{setting: s, name: p.name}
		r.cpu = median(got[i], func(s sample) float64 { return s.cpu })
		r.rps = median(got[i], func(s sample) float64 { return s.rps })
		r.p50 = time.Duration(median(got[i], func(s sample) float64 { return float64(s.p50) }))
		r.p99 = time.Duration(median(got[i], func(s sample) float64 { return float64(s.p99) }))
		if p.name == "nginx" {
			base = r.sample
		}
		results = append(results, r)
	}
	for i := range results {
		results[i].ratio, results[i].throughput = results[i].cpu/base.cpu, results[i].rps/base.rps
	}
	return results
}

func median(samples []sample, of func(sample) float64) float64 {
	var all []float64
	for _, s := range samples {
		all = append(all, of(s))
	}
	slices.Sort(all)
	return all[len(all)/2]
}

func number(name string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return otherwise
}

// load has wrk load a proxy.
func load(b *testing.B, wrk string, p contender, s setting, seconds int) sample {
	b.Helper()
	before := cpu(b, p.pids)
	text := wrkOn(b, wrk, p, s, seconds)
	used := cpu(b, p.pids) - before
	return sample{
		cpu: float64(used.Microseconds()) / requests(b, text), rps: field(b, text, `Requests/sec:\s+([\d.]+)`),
		p50: wait(b, text, "50%"), p99: wait(b, text, "99%"),
	}
}

// calls is how many system calls a request takes. They are counted in a run of
// their own, since that costs.
func calls(b *testing.B, perf, wrk string, p contender, s setting) float64 {
	b.Helper()
	var pids []string
	for _, pid := range p.pids {
		pids = append(pids, strconv.Itoa(pid))
	}
	cmd := exec.Command(perf, "stat", "-x,", "-e", "raw_syscalls:sys_enter", "-p", strings.Join(pids, ","))
	var out bytes.Buffer
	cmd.Stderr = &out
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	n := requests(b, wrkOn(b, wrk, p, s, 1))
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		b.Fatal(err)
	}
	cmd.Wait() // which was interrupted
	return field(b, out.String(), `(?m)^(\d+),`) / n
}

// wrkOn returns what wrk says after a run.
func wrkOn(b *testing.B, wrk string, p contender, s setting, seconds int) string {
	b.Helper()
	url := "http://" + p.plain + "/" + s.body
	if s.tls {
		url = "https://" + p.tls + "/" + s.body
	}
	args := []string{"-t1", fmt.Sprintf("-c%d", s.clients), fmt.Sprintf("-d%ds", seconds), "--timeout", "30s", "--latency", "-H", "Host: app.test"}
	if s.anew {
		args = append(args, "-H", "Connection: close")
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(seconds+60)*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, wrk, append(args, url)...).CombinedOutput()
	if err != nil {
		b.Fatalf("wrk: %v\n%s", err, out)
	}
	if strings.Contains(string(out), "Non-2xx") {
		b.Fatalf("%s, %v: not all was answered\n%s", p.name, s, out)
	}
	return string(out)
}

func requests(b *testing.B, text string) float64 { return max(1, field(b, text, `(\d+) requests in`)) }

func field(b *testing.B, text, pattern string) float64 {
	b.Helper()
	m := regexp.MustCompile(pattern).FindStringSubmatch(text)
	if m == nil {
		b.Fatalf("wrk did not say %s:\n%s", pattern, text)
	}
	n, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		b.Fatal(err)
	}
	return n
}

func wait(b *testing.B, text, percentile string) time.Duration {
	b.Helper()
	m := regexp.MustCompile(`(?m)^\s+` + percentile + `\s+(\S+)`).FindStringSubmatch(text)
	if m == nil {
		b.Fatalf("wrk did not say %s:\n%s", percentile, text)
	}
	d, err := time.ParseDuration(m[1])
	if err != nil {
		b.Fatal(err)
	}
	return d
}

// cpu is what processes have used so far.
func cpu(b *testing.B, pids []int) (used time.Duration) {
	b.Helper()
	const tick = 10 * time.Millisecond // of the kernel's accounts
	for _, pid := range pids {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			b.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(data), ") ")
		fields := strings.Fields(rest)
		for _, f := range fields[11:13] {
			n, err := strconv.Atoi(f)
			if err != nil {
				b.Fatal(err)
			}
			used += time.Duration(n) * tick
		}
	}
	return used
}
