package route

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// size is how many apps BenchmarkTable has: TABLE_APPS, or 8 million.
func size(b *testing.B) int {
	n, err := strconv.Atoi(os.Getenv("TABLE_APPS"))
	if err != nil {
		n = 8_000_000
	}
	return n
}

// nth is an app as there may be millions: of every ten one has a domain of its
// own, and of every four one has a dyno.
func nth(n int) Entry {
	words := []string{"quiet", "river", "garden", "stone", "autumn", "lantern", "moss", "bamboo"}
	name := fmt.Sprintf("%s-%s-%05d", words[n%8], words[n/8%8], n)
	e := Entry{Hosts: []string{name + ".niwa.test"}, App: App{
		ID: fmt.Sprintf("%08x-5c3a-4f6e-9b1d-%012x", uint32(n)*0x9e3779b1, n), Name: name, State: NoDynos}}
	if n%10 == 0 {
		e.Hosts = append(e.Hosts, "www."+name+".example.com")
	}
	if n%4 == 0 {
		e.App.State, e.App.Dynos = Serving, []Dyno{{"web.1", fmt.Sprintf("10.%d.%d.%d:5000", n>>16&255, n>>8&255, n&255)}}
	}
	return e
}

func BenchmarkTable(b *testing.B) {
	apps := size(b)
	path := filepath.Join(b.TempDir(), "routes.log")
	t, err := Open(path)
	if err != nil {
		b.Fatal(err)
	}
	say := func(what string, format string, args ...any) {
		b.Logf("%-46s %s", what, fmt.Sprintf(format, args...))
	}
	began := time.Now()
	entries := make([]Entry, 0, replaceStep)
	for n := 0; n < apps; {
		entries = entries[:0]
		for ; len(entries) < replaceStep && n < apps; n++ {
			entries = append(entries, nth(n))
		}
		if err := t.Set(entries...); err != nil {
			b.Fatal(err)
		}
	}
	say("put in", "%.1f s", time.Since(began).Seconds())
	say("resident", "%d MB, at the most %d MB", memory("VmRSS"), memory("VmHWM"))
	runtime.GC()
	var ms runtime.MemStats
	runtime.ReadMemStats(&ms)
	say("heap", "in use %d, sys %d, arena %d dead %d", ms.HeapInuse>>20, ms.HeapSys>>20, t.records.used>>20, t.records.dead>>20)
	say("resident after a collection", "%d MB", memory("VmRSS"))
	began = time.Now()
	if err := t.Close(); err != nil {
		b.Fatal(err)
	}
	say("close", "%.1f s", time.Since(began).Seconds())

	const lookups = 1_000_000
	hosts := make([]string, lookups)
	miss := make([]string, lookups)
	for i := range hosts {
		e := nth(rand.IntN(apps))
		hosts[i] = e.Hosts[rand.IntN(len(e.Hosts))]
		miss[i] = "no-" + hosts[i]
	}
	runtime.LockOSThread()
	each := func(what string, hosts []string, lookup func(host string) bool, want bool) {
		var best time.Duration
		for range 5 {
			began := onCPU()
			for _, h := range hosts {
				if lookup(h) != want {
					b.Fatalf("%s: %v", h, !want)
				}
			}
			if took := onCPU() - began; best == 0 || took < best {
				best = took
			}
		}
		say(what, "%d ns", best.Nanoseconds()/int64(len(hosts)))
	}
	find := func(h string) bool { _, ok := t.find(h); return ok }
	lookup := func(h string) bool { _, ok := t.Lookup(h); return ok }
	each("find, any of all hosts", hosts, find, true)
	each("find, hosts that there are not", miss, find, false)
	each("look up, any of all hosts", hosts, lookup, true)
	each("look up, any of 10,000 hosts in use", repeat(hosts[:10_000], lookups), lookup, true)
	each("look up, any of 100 hosts in use", repeat(hosts[:100], lookups), lookup, true)
	began = time.Now()
	again, err := Open(path)
	if err != nil {
		b.Fatal(err)
	}
	say("loaded", "%.1f s, resident %d MB", time.Since(began).Seconds(), memory("VmRSS"))
	runtime.KeepAlive(again)
	runtime.KeepAlive(t)
}

func repeat(hosts []string, n int) []string {
	return slices.Repeat(hosts, n/len(hosts))
}

// onCPU is how long this thread has run: the machine may have other work.
func onCPU() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		panic(err)
	}
	return time.Duration(t.Nano())
}

// memory is a line of what the system knows of this process, in MB.
func memory(line string) int {
	status, _ := os.ReadFile("/proc/self/status")
	_, rest, _ := strings.Cut(string(status), line+":")
	kb, _ := strconv.Atoi(strings.Fields(rest)[0])
	return kb >> 10
}
