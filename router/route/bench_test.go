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
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// BenchmarkTable8M has 8 million apps, or APPS, go through a table's life, and
// says what each step takes. Beside the figures are the bars that they are held
// to. Lookups are measured in time on the processor, since the machine may have
// other work.
func BenchmarkTable8M(b *testing.B) {
	apps, err := strconv.Atoi(os.Getenv("APPS"))
	if err != nil {
		apps = 8_000_000
	}
	path := filepath.Join(b.TempDir(), "routes.log")
	r := results{b}
	t := build(b, r, path, apps)
	lookUp(b, r, t, apps)
	changeOne(b, r, t, apps)
	reload(b, r, t, path)
}

type results struct{ b *testing.B }

func (r results) say(what, bar, format string, args ...any) {
	r.b.Logf("%-58s %12s   %s", what, fmt.Sprintf(format, args...), bar)
}

// nth is an app as there may be millions: one of ten has a domain of its own,
// and one of four has a dyno.
func nth(n int) Entry {
	words := [...]string{"quiet", "river", "garden", "stone", "autumn", "lantern", "moss", "bamboo"}
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

func build(b *testing.B, r results, path string, apps int) *Table {
	t, err := Open(path)
	if err != nil {
		b.Fatal(err)
	}
	began := time.Now()
	var entries []Entry
	for n := range apps {
		if entries = append(entries, nth(n)); len(entries) == replaceStep || n == apps-1 {
			if err := t.Set(entries...); err != nil {
				b.Fatal(err)
			}
			entries = entries[:0]
		}
	}
	r.say("put in and kept, a thousand apps at a time", "", "%.1f s", time.Since(began).Seconds())
	r.say("memory of the process at the most", "≤ 1500 MB", "%d MB", memory("VmHWM"))
	runtime.GC()
	r.say("memory of the process then", "", "%d MB", memory("VmRSS"))
	return t
}

func lookUp(b *testing.B, r results, t *Table, apps int) {
	const lookups = 300_000
	any, none, often := make([]string, lookups), make([]string, lookups), make([]string, lookups)
	zipf := rand.NewZipf(rand.New(rand.NewPCG(1, 1)), 1.1, 1, uint64(apps-1))
	for i := range lookups {
		any[i] = pick(nth(rand.IntN(apps)).Hosts)
		none[i] = "no-" + any[i]
		often[i] = pick(nth(int(zipf.Uint64()*7919) % apps).Hosts)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	each := func(hosts []string, want bool, lookup func(host string) bool) int64 {
		best := time.Duration(0)
		for range 3 {
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
		return best.Nanoseconds() / int64(len(hosts))
	}
	find := func(h string) bool { _, ok := t.find(h); return ok }
	lookup := func(h string) bool { _, ok := t.Lookup(h); return ok }
	r.say("lookup, hosts as often as the web asks for them (Zipf 1.1)", "≤ 150 ns", "%d ns", each(often, true, lookup))
	r.say("lookup, any of 100 busy hosts", "≤ 150 ns", "%d ns", each(slices.Repeat(any[:100], lookups/100), true, lookup))
	r.say("lookup, any of 10,000 busy hosts", "≤ 150 ns", "%d ns", each(slices.Repeat(any[:10_000], lookups/10_000), true, lookup))
	r.say("which record has a host, any of all", "≤ 150 ns", "%d ns", each(any, true, find))
	r.say("that nobody has a host", "≤ 150 ns", "%d ns", each(none, false, find))
	r.say("lookup, any of all: an App made from its record", "", "%d ns", each(any, true, lookup))
}

func pick(hosts []string) string { return hosts[rand.IntN(len(hosts))] }

// changeOne moves the dyno of one app after the other, and has another goroutine
// look the app up until it sees that.
func changeOne(b *testing.B, r results, t *Table, apps int) {
	var wanted atomic.Pointer[Entry]
	seen := make(chan time.Time)
	go func() {
		for {
			e := wanted.Load()
			if e == nil {
				runtime.Gosched()
				continue
			}
			if len(e.Hosts) == 0 {
				return
			}
			if app, ok := t.Lookup(e.Hosts[0]); ok && len(app.Dynos) == 1 && app.Dynos[0].Addr == e.App.Dynos[0].Addr {
				wanted.Store(nil)
				seen <- time.Now()
			}
		}
	}()
	var visible, returned []time.Duration
	change := func() {
		e := nth(rand.IntN(apps))
		e.App.State, e.App.Dynos = Serving, []Dyno{{"web.1", fmt.Sprintf("127.0.0.1:%d", 1024+rand.IntN(60000))}}
		wanted.Store(&e)
		began := time.Now()
		if err := t.Set(e); err != nil {
			b.Fatal(err)
		}
		returned = append(returned, time.Since(began))
		visible = append(visible, (<-seen).Sub(began))
	}
	for range 300 {
		change()
	}
	quantiles := func(all []time.Duration) string {
		slices.Sort(all)
		return fmt.Sprintf("%d / %d µs", all[len(all)/2].Microseconds(), all[len(all)-1].Microseconds())
	}
	r.say("from a change to a request that sees it, median / longest", "≤ 5 ms", "%s", quantiles(visible))
	r.say("until it is in the file as well", "", "%s", quantiles(returned))
	visible, returned = nil, nil
	began := time.Now()
	t.file.mu.Lock()
	t.file.rewrite()
	done := t.file.rewriting
	t.file.mu.Unlock()
	for running := true; running; {
		change()
		select {
		case <-done:
			running = false
		default:
		}
	}
	r.say("the whole table written, while it changes", "", "%.1f s", time.Since(began).Seconds())
	r.say(fmt.Sprintf("from a change to a request meanwhile (%d changes)", len(visible)), "≤ 5 ms", "%s", quantiles(visible))
	r.say("until it is in the file as well", "", "%s", quantiles(returned))
	wanted.Store(&Entry{})
}

func reload(b *testing.B, r results, t *Table, path string) {
	began := time.Now()
	if err := t.Close(); err != nil {
		b.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		b.Fatal(err)
	}
	r.say("closed", "", "%.1f s", time.Since(began).Seconds())
	before := t.ids.live
	t.records, t.ids, t.hosts = arena{}, index{}, index{} // their memory goes
	runtime.GC()
	began = time.Now()
	again, err := Open(path)
	if err != nil {
		b.Fatal(err)
	}
	r.say(fmt.Sprintf("loaded, of %d MB", info.Size()>>20), "", "%.1f s", time.Since(began).Seconds())
	if again.ids.live != before {
		b.Errorf("%d apps became %d", before, again.ids.live)
	}
	runtime.GC()
	r.say("memory of the process then", "", "%d MB", memory("VmRSS"))
	runtime.KeepAlive(again)
}

// memory is a line of what the system knows of this process, in MB.
func memory(line string) int {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0 // not Linux
	}
	_, rest, _ := strings.Cut(string(status), line+":")
	kb, _ := strconv.Atoi(strings.Fields(rest)[0])
	return kb >> 10
}

// onCPU is how long this thread has run.
func onCPU() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		panic(err)
	}
	return time.Duration(t.Nano())
}
