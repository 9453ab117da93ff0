package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"niwa/platform/instance"
)

// Config says what to kill, and how often.
type Config struct {
	Niwa    string   // the program under test
	App     string   // testdata/app, built for this machine
	Keeper  []string // a command that calls Keep
	Dir     string   // an empty directory, which every user may enter
	Seed    uint64
	Kills   int
	Runtime string // process or docker
	Log     func(format string, args ...any)
}

const (
	// settleTime is how long the platform has to finish or undo what was in
	// flight, and to leave nothing without an owner.
	settleTime = 10 * time.Second
	// lookTime is what it takes to look at everything on a quiet machine, and
	// hangTime what all looks together may take on a busy one.
	lookTime = 300 * time.Millisecond
	hangTime = 3 * time.Minute
	// readyTime bounds a start, with data servers that recover.
	readyTime = 60 * time.Second
)

// tenants is how many use the platform at the same time: containers take more
// of a machine than processes.
func (c Config) tenants() int {
	if c.Runtime == "docker" {
		return 2
	}
	return 3
}

// Run kills, and reports. The error says what was lost or orphaned.
func Run(ctx context.Context, cfg Config) (report *Report, err error) {
	h := &harness{Config: cfg, data: filepath.Join(cfg.Dir, "data"), commits: map[string]string{}, crashed: map[string]bool{}, report: newReport(cfg), begin: time.Now()}
	if h.keeper, err = hire(cfg.Keeper); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, h.down(context.WithoutCancel(ctx))) }()
	h.machine = machine{data: h.data, tmp: filepath.Join(cfg.Dir, "tmp"), keeper: h.keeper.pid()}
	if err := os.Mkdir(h.machine.tmp, 0o700); err != nil {
		return nil, err
	}
	for i := range cfg.tenants() {
		h.tenants = append(h.tenants, &tenant{
			name: fmt.Sprintf("t%d", i+1), known: newWorld(), contents: map[string]string{},
			clones: &clones{filepath.Join(cfg.Dir, "clones"), cfg.App},
		})
	}
	if cfg.Runtime == "docker" {
		if h.machine.engine, err = newEngine(ctx, h.keeper); err != nil {
			return nil, err
		}
	}
	if _, err := h.up(ctx); err != nil {
		return h.report, err
	}
	for n := range cfg.Kills {
		if err := h.round(ctx, n); err != nil {
			return h.report, fmt.Errorf("kill %d of seed %d: %w", n+1, cfg.Seed, err)
		}
	}
	return h.report, ctx.Err()
}

// harness is one run.
type harness struct {
	Config
	data    string
	keeper  *keeper
	machine machine
	tenants []*tenant
	report  *Report
	begin   time.Time

	record  instance.Record // of the niwa that runs
	niwa    process
	api     *api
	commits map[string]string // by slug
	before  *settled          // how the last round ended
	crashed map[string]bool   // posts whose dynos niwa has seen crash since it started: a second time they would stay empty
}

// up starts niwa and returns how long it took until everything answered.
func (h *harness) up(ctx context.Context) (time.Duration, error) {
	begin := time.Now()
	env := append(os.Environ(), "TMPDIR="+h.machine.tmp)
	if h.machine.engine != nil {
		env = append(env, "DOCKER_HOST="+h.machine.engine.host())
	}
	pid, err := h.keeper.start(order{
		Args: []string{h.Niwa, "up", "--data", h.data, "--api", "localhost:0", "--router", "127.0.0.1:0", "--router-tls", "127.0.0.1:0", "--runtime", h.Runtime},
		Env:  env, Log: h.log(),
	})
	if err != nil {
		return 0, err
	}
	for {
		if h.record, err = instance.ReadRecord(h.data); err == nil && h.record.PID == pid {
			break
		}
		p, runs := look(pid)
		if !runs || time.Since(begin) > readyTime {
			said, _ := os.ReadFile(h.log())
			return 0, fmt.Errorf("after %v niwa is not ready; it runs: %v; it said:\n%s", time.Since(begin), runs, said[max(0, len(said)-2000):])
		}
		h.niwa = p
		time.Sleep(2 * time.Millisecond)
	}
	token, err := os.ReadFile(filepath.Join(h.data, "token"))
	if err != nil {
		return 0, err
	}
	h.api = newAPI(h.record.API, strings.TrimSpace(string(token)))
	for _, t := range h.tenants {
		t.api = h.api
	}
	return time.Since(begin), h.api.call(ctx, "GET", "/apps", nil, nil)
}

// down ends all that the run has.
func (h *harness) down(ctx context.Context) error {
	var errs []error
	if syscall.Kill(h.niwa.pid, syscall.SIGTERM) == nil {
		h.niwa.awaitEnd()
	}
	if h.machine.engine != nil {
		n, err := h.machine.engine.emptyShims(ctx, descendants(h.keeper.pid()))
		h.report.shims = n
		errs = append(errs, err, h.machine.engine.stop(ctx))
	}
	errs = append(errs, h.keeper.dismiss())
	if h.machine.engine != nil {
		errs = append(errs, h.machine.engine.remove())
	}
	return errors.Join(errs...)
}

func (h *harness) log() string { return filepath.Join(h.Dir, "niwa.log") }

// round has the tenants work, kills in the middle of it, and sees to it that
// all is well again.
func (h *harness) round(ctx context.Context, n int) error {
	if err := h.api.renew(ctx); err != nil {
		return err
	}
	dice := rand.New(rand.NewPCG(h.Seed, uint64(n)))
	working, rest := context.WithCancel(ctx)
	defer rest()
	var killed atomic.Bool
	progress := make(chan event, 1000)
	errs := make([]error, len(h.tenants))
	var all sync.WaitGroup
	for i, t := range h.tenants {
		t.rand = rand.New(rand.NewPCG(h.Seed, uint64(n*10+i+1_000_000)))
		t.doing, t.touched = nil, map[string]bool{}
		tell := func(e event) {
			if e.answered {
				h.report.acknowledged(e.op.name)
			}
			if i == 0 {
				progress <- e
			}
		}
		all.Go(func() { errs[i] = t.work(working, &killed, tell) })
	}
	during := h.moment(dice, progress)
	killed.Store(true)
	it, err := h.kill(ctx, dice)
	rest()
	if err != nil {
		return err
	}
	it.during = during
	if it.engine { // what is asked of niwa waits for it
		if err := h.machine.engine.start(ctx); err != nil {
			return err
		}
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	for _, t := range h.tenants {
		t.say("killed: %s", it.what)
		if t.doing != nil {
			h.report.inFlight(t.doing.op)
		}
	}
	if it.niwa {
		took, err := h.up(ctx)
		if err != nil {
			return err
		}
		h.report.ready(took)
	}
	h.Log("%4d, after %v: %s killed during %s", n+1, time.Since(h.begin).Round(100*time.Millisecond), it.what, during)
	return h.settle(ctx, it)
}

// moment waits for the moment to kill: somewhere in one of the first operations
// of the first tenant, or as soon as it has been acknowledged.
func (h *harness) moment(dice *rand.Rand, progress <-chan event) (during string) {
	share := dice.Float64() * 1.2
	atOnce := dice.IntN(4) == 0
	var op operation
	for left := 1 + dice.IntN(3); left > 0; {
		select {
		case e := <-progress:
			if e.answered == atOnce {
				left, op = left-1, e.op
			}
		case <-time.After(callTime):
			left = 0
		}
	}
	if atOnce {
		return "the answer to " + op.name
	}
	time.Sleep(time.Duration(share * float64(op.typical)))
	return op.name
}
