package bench

import (
	"cmp"
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

// BenchmarkRouters prints the table. ROUNDS and SECONDS make it shorter or
// longer, ONLY keeps the settings that match it.
func BenchmarkRouters(b *testing.B) {
	wrk := need.Tool(b, "wrk")
	dir := b.TempDir()
	proxies := contenders(b, dir, backend(b, dir))
	only := regexp.MustCompile(os.Getenv("ONLY"))
	rounds := number("ROUNDS", 5)
	seconds := number("SECONDS", 3)
	for b.Loop() {
		fmt.Printf("%-28s %-8s %9s %7s %9s %7s %9s %9s\n", "", "", "CPU µs", "ratio", "req/s", "ratio", "p50", "p99")
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
			print(s, proxies, got)
		}
	}
}

func print(s setting, proxies []contender, got [][]sample) {
	base := median(got[1], func(s sample) float64 { return s.cpu })
	baseRPS := median(got[1], func(s sample) float64 { return s.rps })
	for i, p := range proxies {
		cpu := median(got[i], func(s sample) float64 { return s.cpu })
		rps := median(got[i], func(s sample) float64 { return s.rps })
		p50 := median(got[i], func(s sample) float64 { return float64(s.p50) })
		p99 := median(got[i], func(s sample) float64 { return float64(s.p99) })
		fmt.Printf("%-28s %-8s %9.1f %7.2f %9.0f %7.2f %9v %9v\n", s, p.name, cpu, cpu/base, rps, rps/baseRPS,
			time.Duration(p50).Round(10*time.Microsecond), time.Duration(p99).Round(10*time.Microsecond))
	}
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
	url := "http://" + p.plain + "/" + s.body
	if s.tls {
		url = "https://" + p.tls + "/" + s.body
	}
	args := []string{"-t1", fmt.Sprintf("-c%d", s.clients), fmt.Sprintf("-d%ds", seconds), "--latency", "-H", "Host: app.test"}
	if s.anew {
		args = append(args, "-H", "Connection: close")
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(seconds+60)*time.Second)
	defer cancel()
	before := cpu(b, p.pids)
	out, err := exec.CommandContext(ctx, wrk, append(args, url)...).CombinedOutput()
	used := cpu(b, p.pids) - before
	if err != nil {
		b.Fatalf("wrk: %v\n%s", err, out)
	}
	text := string(out)
	if strings.Contains(text, "Non-2xx") {
		b.Fatalf("%s, %v: not all was answered\n%s", p.name, s, text)
	}
	requests := field(b, text, `(\d+) requests in`)
	return sample{
		cpu: float64(used.Microseconds()) / cmp.Or(requests, 1), rps: field(b, text, `Requests/sec:\s+([\d.]+)`),
		p50: wait(b, text, "50%"), p99: wait(b, text, "99%"),
	}
}

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
