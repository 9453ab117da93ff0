package route

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// model is a table as simple as can be: apps in the order in which they came.
type model []Entry

func (m model) set(e Entry) model {
	at := slices.IndexFunc(m, func(is Entry) bool { return is.App.ID == e.App.ID })
	m = slices.Clone(m)
	if at < 0 {
		return append(m, e)
	}
	m[at] = e
	return m
}

func (m model) remove(id string) model {
	return slices.DeleteFunc(slices.Clone(m), func(is Entry) bool { return is.App.ID == id })
}

func (m model) owner(host string) string {
	for listed := host; ; {
		for _, e := range m {
			if slices.Contains(e.Hosts, listed) {
				return e.App.ID
			}
		}
		_, parent, more := strings.Cut(host, ".")
		if !more {
			return ""
		}
		host, listed = parent, "*."+parent
	}
}

// holds compares a table with the model.
func (m model) holds(t *testing.T, when string, table *Table) {
	t.Helper()
	for host := range hosts() {
		if got, want := owner(table, host), m.owner(host); got != want {
			t.Fatalf("%s, %s leads to %q; want %q", when, host, got, want)
		}
	}
	want := map[string]Entry{}
	for _, e := range m {
		want[e.App.ID] = e
	}
	if diff := cmp.Diff(want, all(table)); diff != "" {
		t.Fatalf("%s (-want +got):\n%s", when, diff)
	}
	claims, claimed := 0, map[string]bool{}
	for _, e := range m {
		for _, host := range e.Hosts {
			claimed[host], claims = true, claims+1
		}
	}
	if n := table.contested.Load(); int(n) != claims-len(claimed) {
		t.Fatalf("%s %d claims are counted as contested; %d are", when, n, claims-len(claimed))
	}
	if n := table.ids.live; n != len(m) {
		t.Fatalf("%s there are %d apps in the index; want %d", when, n, len(m))
	}
}

// hosts are those that the tests of random changes ask for.
func hosts() map[string]bool {
	all := map[string]bool{}
	for _, a := range []string{"a", "b", "c"} {
		for _, b := range []string{"x", "y"} {
			all[a+"."+b+".test"], all[b+".test"], all[a+".d."+b+".test"] = true, true, true
		}
	}
	return all
}

func randomEntry(r *rand.Rand) Entry {
	var pool []string
	for h := range hosts() {
		_, parent, _ := strings.Cut(h, ".")
		pool = append(pool, h, "*."+parent)
	}
	slices.Sort(pool)
	r.Shuffle(len(pool), func(i, j int) { pool[i], pool[j] = pool[j], pool[i] })
	e := Entry{Hosts: hostKeys(pool[:1+r.IntN(3)]), App: App{ID: fmt.Sprint(r.IntN(12)), State: states()[r.IntN(6)]}}
	for i := range r.IntN(3) {
		e.App.Dynos = append(e.App.Dynos, Dyno{fmt.Sprintf("web.%d", i+1), fmt.Sprintf("10.0.0.%d:5000", r.IntN(250))})
	}
	return e
}

func TestRandomChangesAnswerAsAListDoesAlsoAfterACrashAtAnyMoment(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	path := filepath.Join(t.TempDir(), "routes.log")
	table := open(t, path)
	follower := New()
	var m model
	var after []model // by size of the file, of which the table is the first
	var sizes []int64
	number := int64(0)
	for range 400 {
		var err error
		switch r.IntN(4) {
		case 0:
			id := fmt.Sprint(r.IntN(12))
			m, err = m.remove(id), table.Remove(id)
		default:
			e := randomEntry(r)
			m, err = m.set(e), table.Set(e)
		}
		if err != nil {
			t.Fatal(err)
		}
		m.holds(t, "after a change", table)
		after, sizes = append(after, m), append(sizes, table.file.has.good)
		if r.IntN(3) == 0 {
			ids, to, ok := table.Since(number)
			if !ok {
				t.Fatal("the changes are forgotten")
			}
			if err := follower.Apply(table.Of(ids)); err != nil {
				t.Fatal(err)
			}
			number = to
			m.holds(t, "who follows the changes", follower)
		}
	}
	late := New()
	if err := late.Set(randomEntry(r), Entry{Hosts: []string{"gone.test"}, App: App{ID: "gone", State: Blank}}); err != nil {
		t.Fatal(err)
	}
	for p := range table.Parts() {
		if err := late.ApplyPart(p); err != nil {
			t.Fatal(err)
		}
	}
	m.holds(t, "who gets all parts", late)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		cut := sizes[0] + r.Int64N(int64(len(data))-sizes[0]+1)
		last := len(sizes) - 1
		for sizes[last] > cut {
			last--
		}
		path := filepath.Join(t.TempDir(), "cut")
		if err := os.WriteFile(path, data[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		after[last].holds(t, fmt.Sprintf("cut after %d of %d bytes", cut, len(data)), open(t, path))
	}
}

// big has its records fill chunks, and two hosts of its own.
func big(n, round int) Entry {
	return Entry{Hosts: []string{fmt.Sprintf("a%d.test", n), fmt.Sprintf("b%d.test", n)}, App: App{
		ID: fmt.Sprint(n), State: Serving, Dynos: []Dyno{{fmt.Sprint(n), fmt.Sprint(round)}}, ErrorPageURL: strings.Repeat("/", 300+n%100)}}
}

func TestWhoReadsMeanwhileMissesNothingAndGarbageStaysLittle(t *testing.T) {
	const apps, rounds, readers = 12_000, 3, 2
	table := New()
	var there, done atomic.Int64
	var all sync.WaitGroup
	for reader := range readers {
		all.Go(func() {
			r := rand.New(rand.NewPCG(0, uint64(reader)))
			for done.Load() == 0 {
				known := there.Load()
				if known == 0 {
					continue
				}
				n := r.Int64N(known)
				one, ok1 := table.Lookup(fmt.Sprintf("a%d.test", n))
				two, ok2 := table.App(fmt.Sprint(n))
				if !ok1 || !ok2 || one.Dynos[0].Name != fmt.Sprint(n) || two.Dynos[0].Name != fmt.Sprint(n) {
					t.Errorf("app %d is %v, %v", n, one, two)
					return
				}
				if _, ok := table.Lookup(fmt.Sprintf("c%d.test", n)); ok {
					t.Errorf("c%d.test leads somewhere", n)
				}
			}
		})
	}
	for round := range rounds {
		for n := range apps {
			if err := table.Set(big(n, round)); err != nil {
				t.Fatal(err)
			}
			there.Store(max(there.Load(), int64(n+1)))
			if share := float64(table.records.dead) / float64(table.records.used); table.records.used > 3*chunkSize && share > 0.5 {
				t.Fatalf("in round %d, %.0f%% of the memory is garbage", round, 100*share)
			}
		}
	}
	done.Store(1)
	all.Wait()
	for n := range apps {
		if app, ok := table.Lookup(fmt.Sprintf("b%d.test", n)); !ok || app.Dynos[0].Addr != fmt.Sprint(rounds-1) {
			t.Fatalf("app %d is %v", n, app)
		}
	}
	for n := range apps {
		if err := table.Remove(fmt.Sprint(n)); err != nil {
			t.Fatal(err)
		}
	}
	if table.ids.live != 0 || table.hosts.live != 0 || table.records.used > 3*chunkSize {
		t.Errorf("of an empty table %d ids, %d hosts and %d bytes are left", table.ids.live, table.hosts.live, table.records.used)
	}
}
