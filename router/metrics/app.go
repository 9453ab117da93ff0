package metrics

import (
	"maps"
	"sync"
	"sync/atomic"
	"time"
)

// Request is what is known of a request that has ended, in the words of its log
// line.
type Request struct {
	Policy  string // that the app's dynos are chosen by; empty for Heroku's
	Dyno    string // empty when none had it
	Code    string // H12, or empty
	Status  int    // 0 where the log leaves it empty
	Connect time.Duration
	Service time.Duration // Connect and Service are below 0 where there was none
	In, Out int64         // bytes of the client's and of the dyno's, heads included
}

// tally is a number that only rises, and how much of it was recorded.
type tally struct {
	n     atomic.Uint64
	taken uint64 // by who records
}

func (t *tally) add(n uint64) { t.n.Add(n) }

// take is by how much it has risen since the last time.
func (t *tally) take() uint64 {
	n := t.n.Load()
	risen := n - t.taken
	t.taken = n
	return risen
}

// App is what is counted of an app. It may be kept for as long as it
// Counts.
type App struct {
	id       string
	name     string // guarded by Metrics.mu, as is named
	named    int    // the later it got its name, the higher
	gone     atomic.Bool
	inFlight atomic.Int64
	peak     atomic.Int64 // of inFlight, since it was recorded
	queued   atomic.Int64
	in, out  tally
	slowest  atomic.Int64 // nanoseconds of service, since it was recorded
	service  histogram
	connect  histogram
	statuses [10]atomic.Pointer[[100]tally] // by class; made when needed
	dynos    atomic.Pointer[dynos]

	mu      sync.Mutex // guards what is below, and who changes dynos
	history history
	active  time.Time // when there last was something to record
	left    time.Time // when the routes were first seen without it; zero while they have it
}

func newApp(id string) *App {
	a := &App{id: id}
	a.dynos.Store(&dynos{})
	return a
}

// Counts is whether this is where an app is counted. It is false once what is
// counted here is read no more, and where there was no room: the App is then to
// be looked up again.
func (a *App) Counts(id string) bool { return a != nil && a.id == id && !a.gone.Load() }

// Begin counts a request in, until its End.
func (a *App) Begin() {
	n := a.inFlight.Add(1)
	for peak := a.peak.Load(); n > peak && !a.peak.CompareAndSwap(peak, n); peak = a.peak.Load() {
	}
}

// Queue counts a request as waiting for a dyno, until what it returns is called.
func (a *App) Queue() (done func()) {
	a.queued.Add(1)
	return func() { a.queued.Add(-1) }
}

// switching is the status of an answer whose service is as long as two sides
// have something to say to each other.
const switching = 101

// End counts a request that has ended.
func (a *App) End(r Request) {
	a.inFlight.Add(-1)
	a.count(r)
}

func (a *App) count(r Request) {
	a.in.add(uint64(max(0, r.In)))
	a.out.add(uint64(max(0, r.Out)))
	class, rest := max(0, r.Status)/100%10, max(0, r.Status)%100
	a.page(class)[rest].add(1)
	a.dyno(r.Policy, r.Dyno).count(r.Code, class)
	if r.Connect > 0 { // 0 is a connection that was there
		a.connect.observe(r.Connect)
	}
	if r.Service >= 0 && r.Status != switching {
		a.service.observe(r.Service)
		for slowest := a.slowest.Load(); int64(r.Service) > slowest && !a.slowest.CompareAndSwap(slowest, int64(r.Service)); slowest = a.slowest.Load() {
		}
	}
}

// page is where the statuses of a class are counted.
func (a *App) page(class int) *[100]tally {
	if page := a.statuses[class].Load(); page != nil {
		return page
	}
	a.statuses[class].CompareAndSwap(nil, new([100]tally))
	return a.statuses[class].Load()
}

// dynos are what is counted of dynos, by the policy that chose them and by name;
// of no dyno where there is none. They are replaced when one is added or
// forgotten, and so are read without a lock.
type dynos map[string]map[string]*dyno

func (a *App) dyno(policy, name string) *dyno {
	if d, ok := (*a.dynos.Load())[policy][name]; ok {
		return d
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	all := *a.dynos.Load()
	if d, ok := all[policy][name]; ok {
		return d
	}
	d := newDyno()
	with := maps.Clone(all[policy])
	if with == nil {
		with = map[string]*dyno{}
	}
	with[name] = d
	more := maps.Clone(all)
	more[policy] = with
	a.dynos.Store(&more)
	return d
}

// dyno is what is counted of a dyno: its requests, by the class of their status
// and, where there is one, the code.
type dyno struct {
	classes [10]atomic.Uint64 // without a code
	mu      sync.Mutex        // of who adds to failed
	failed  atomic.Pointer[map[failure]*tally]
	left    time.Time // when the routes were first seen without it
}

// failure is a code and the class of the status that came of it.
type failure struct {
	code  string
	class int
}

func newDyno() *dyno {
	d := &dyno{}
	d.failed.Store(&map[failure]*tally{})
	return d
}

func (d *dyno) count(code string, class int) {
	if code == "" {
		d.classes[class].Add(1)
		return
	}
	d.failures(failure{code, class}).add(1)
}

func (d *dyno) failures(key failure) *tally {
	if t, ok := (*d.failed.Load())[key]; ok {
		return t
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if t, ok := (*d.failed.Load())[key]; ok {
		return t
	}
	more := maps.Clone(*d.failed.Load())
	more[key] = &tally{}
	d.failed.Store(&more)
	return more[key]
}
