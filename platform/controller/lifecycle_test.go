package controller_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"niwa/platform"
	"niwa/platform/controller"
	"niwa/platform/dyno"
	"niwa/platform/store"
)

// kill leaves a data directory as it is at this moment, as kill -9 does, and
// opens another controller on what a crash would have left, over the same
// dynos. The first one is not to be used any more.
func (f *fixture) kill(t *testing.T, with ...func(*controller.Config)) *fixture {
	t.Helper()
	f.killed.Store(true)
	dir := t.TempDir()
	err := f.store.Update(t.Context(), func(*store.Tx) error { // so that no checkpoint comes between the two files
		for _, name := range []string{"niwa.db", "niwa.db-wal"} {
			data, err := os.ReadFile(filepath.Join(f.dir, name))
			if err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	next := openOver(t, dir, f.runner, with...)
	if err := next.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return next
}

func TestDynosThatOutliveThePlatformAreAdopted(t *testing.T) {
	f := newFixture(t)
	app := f.app(t, "garden")
	f.deploy(t, app, map[string]string{"web": "listen", "worker": "wait"})
	f.scale(t, "garden", controller.FormationUpdate{Type: "web", Quantity: ptr("2")}, controller.FormationUpdate{Type: "worker", Quantity: ptr("1")})
	f.dynosAre(t, "garden", "web.1 up v2, web.2 up v2, worker.1 up v2")
	once, err := f.Run(t.Context(), "garden", controller.RunRequest{Command: "wait"})
	if err != nil {
		t.Fatal(err)
	}
	all := once.Name + " up v2, web.1 up v2, web.2 up v2, worker.1 up v2"
	f.dynosAre(t, "garden", all)
	before, err := f.Dynos(t.Context(), "garden")
	if err != nil {
		t.Fatal(err)
	}

	next := f.kill(t)
	after, err := next.Dynos(t.Context(), "garden")
	if err != nil {
		t.Fatal(err)
	}
	for i := range min(len(before), len(after)) {
		if before[i].ID != after[i].ID || after[i].State != platform.DynoUp || before[i].Addr != after[i].Addr {
			t.Errorf("before %+v\nafter  %+v", before[i], after[i])
		}
	}
	if len(before) != len(after) || f.runner.running() != 4 {
		t.Errorf("%d dynos before, %d after, %d run", len(before), len(after), f.runner.running())
	}
	e, _ := next.routes.Lookup("garden.localhost")
	if len(e.Dynos) != 2 {
		t.Errorf("the router knows %v", e.Dynos)
	}
	// They are dynos like others from here on.
	if err := next.Restart(t.Context(), "garden", "worker.1"); err != nil {
		t.Fatal(err)
	}
	await(t, "2", func() string { return fmt.Sprint(f.runner.starts("wait") - 1) })
	next.dynosAre(t, "garden", all)
}

func TestARestartIsNotForgottenByAKill(t *testing.T) {
	f := newFixture(t)
	app := f.app(t, "garden")
	f.deploy(t, app, map[string]string{"web": "listen"})
	f.scale(t, "garden", controller.FormationUpdate{Type: "web", Quantity: ptr("2")})
	f.dynosAre(t, "garden", "web.1 up v2, web.2 up v2")
	once, err := f.Run(t.Context(), "garden", controller.RunRequest{Command: "wait"})
	if err != nil {
		t.Fatal(err)
	}
	f.dynosAre(t, "garden", once.Name+" up v2, web.1 up v2, web.2 up v2")
	f.killed.Store(true) // so that it acknowledges, and starts nothing any more
	for _, which := range []string{"web.1", once.Name} {
		if err := f.Restart(t.Context(), "garden", which); err != nil {
			t.Fatal(err)
		}
	}
	next := f.kill(t)
	await(t, "3", func() string { return fmt.Sprint(f.runner.starts("listen")) })
	next.dynosAre(t, "garden", "web.1 up v2, web.2 up v2")
	await(t, "2", func() string { return fmt.Sprint(f.runner.running()) })
}

func TestADynoThatDidNotOutliveThePlatformIsStartedAnew(t *testing.T) {
	f := newFixture(t)
	app := f.app(t, "garden")
	f.deploy(t, app, map[string]string{"web": "listen"})
	f.dynosAre(t, "garden", "web.1 up v2")
	f.runner = &fakeRunner{dynos: map[string]*fakeDyno{}} // which knows of none
	next := f.kill(t)
	next.dynosAre(t, "garden", "web.1 up v2")
	if n := f.runner.starts("listen"); n != 1 {
		t.Errorf("started %d times, want 1", n)
	}
}

func TestAKillInTheMiddleOfADeployIsTakenUp(t *testing.T) {
	f := newFixture(t)
	app := f.app(t, "garden")
	f.deploy(t, app, map[string]string{"web": "listen"})
	f.scale(t, "garden", controller.FormationUpdate{Type: "web", Quantity: ptr("2")})
	f.dynosAre(t, "garden", "web.1 up v2, web.2 up v2")
	f.deploy(t, app, map[string]string{"web": "wait"}) // never up, so that both releases run
	await(t, "4", func() string { return fmt.Sprint(f.runner.running()) })

	next := f.kill(t)
	next.dynosAre(t, "garden", "web.1 up v2, web.2 up v2")
	if f.runner.running() != 4 {
		t.Errorf("%d run, want both releases' 2", f.runner.running())
	}
	next.deploy(t, app, map[string]string{"web": "listen"})
	next.dynosAre(t, "garden", "web.1 up v4, web.2 up v4")
	await(t, "2", func() string { return fmt.Sprint(f.runner.running()) })
}

// serving lists the releases of the dynos that the router knows.
func (f *fixture) serving(t *testing.T) string {
	t.Helper()
	e, ok := f.routes.Lookup("garden.localhost")
	if !ok {
		return ""
	}
	var versions []string
	for _, d := range e.Dynos {
		id := ""
		f.runner.mu.Lock()
		for key, fake := range f.runner.dynos {
			if fake.addr == d.Addr {
				id = key
			}
		}
		for _, spec := range f.runner.started {
			if spec.ID == id {
				versions = append(versions, spec.Env["RELEASE"])
			}
		}
		f.runner.mu.Unlock()
	}
	slices.Sort(versions)
	return strings.Join(versions, " ")
}

// fewest watches the router's table, from when it says first, for the lowest
// number of dynos that served.
func (f *fixture) fewest(t *testing.T, first string) (stop func() int) {
	await(t, first, func() string { return f.serving(t) })
	quit, done := make(chan struct{}), make(chan struct{})
	least := 1 << 20
	go func() {
		defer close(done)
		for {
			changed := f.routes.Changed()
			if e, ok := f.routes.Lookup("garden.localhost"); ok {
				least = min(least, len(e.Dynos))
			}
			select {
			case <-changed:
			case <-quit:
				return
			}
		}
	}()
	return func() int { close(quit); <-done; return least }
}

func (f *fixture) release(t *testing.T, value string) {
	t.Helper()
	if _, err := f.SetConfigVars(t.Context(), "garden", map[string]*string{"RELEASE": ptr(value)}); err != nil {
		t.Fatal(err)
	}
}

func TestWithPrebootNewDynosServeBeforeOldOnesStop(t *testing.T) {
	for name, tt := range map[string]struct {
		free int64
		peak int // dynos that ran at the same time
	}{
		"all at once when there is memory":  {1 << 40, 6},
		"one by one when there is not much": {1, 4},
	} {
		t.Run(name, func(t *testing.T) {
			f := open(t, t.TempDir(), func(cfg *controller.Config) {
				cfg.FreeMemory = func() (int64, error) { return tt.free, nil }
			})
			if err := f.EnsureAccount(t.Context(), "a@localhost", "HRKU-0123456789abcdef"); err != nil {
				t.Fatal(err)
			}
			f.runner.memory = 100 << 20
			app := f.app(t, "garden")
			f.release(t, "a")
			f.deploy(t, app, map[string]string{"web": "listen"})
			f.scale(t, "garden", controller.FormationUpdate{Type: "web", Quantity: ptr("3")})
			f.dynosAre(t, "garden", "web.1 up v3, web.2 up v3, web.3 up v3")
			fewest := f.fewest(t, "a a a")
			f.release(t, "b")
			await(t, "b b b", func() string { return f.serving(t) })
			await(t, "3", func() string { return fmt.Sprint(f.runner.running()) })
			if n := fewest(); n != 3 {
				t.Errorf("at some time only %d served", n)
			}
			if f.runner.peak != tt.peak {
				t.Errorf("%d dynos ran at the same time, want %d", f.runner.peak, tt.peak)
			}
		})
	}
}

func TestPrebootIsForOneDynoWhoChoosesIt(t *testing.T) {
	f := newFixture(t)
	app := f.app(t, "garden")
	f.release(t, "a")
	f.deploy(t, app, map[string]string{"web": "listen"})
	f.dynosAre(t, "garden", "web.1 up v3")
	if feature, err := f.Feature(t.Context(), "garden", "preboot"); err != nil || feature.Enabled {
		t.Errorf("with one dyno: %+v, %v", feature, err)
	}
	await(t, "a", func() string { return f.serving(t) })
	f.deploy(t, app, map[string]string{"web": "wait"}) // which is never up
	await(t, "", func() string { return f.serving(t) })
	f.deploy(t, app, map[string]string{"web": "listen"})
	f.release(t, "b")
	f.dynosAre(t, "garden", "web.1 up v6")
	if feature, err := f.SetFeature(t.Context(), "garden", "preboot", true); err != nil || !feature.Enabled {
		t.Errorf("turned on: %+v, %v", feature, err)
	}
	fewest := f.fewest(t, "b")
	f.release(t, "c")
	await(t, "c", func() string { return f.serving(t) })
	served := f.runner.starts("listen")
	if err := f.Restart(t.Context(), "garden", "web.1"); err != nil {
		t.Fatal(err)
	}
	await(t, fmt.Sprint(served+1), func() string { return fmt.Sprint(f.runner.starts("listen")) })
	await(t, "1", func() string { return fmt.Sprint(f.runner.running()) })
	if fewest() != 1 {
		t.Error("with preboot there was a time when none served")
	}
	_, err := f.SetFeature(t.Context(), "garden", "flight", true)
	refused(t, err, platform.NotFound)
}

func TestAReleaseThatCrashesAsItBootsLeavesTheOldOneServing(t *testing.T) {
	f := newFixture(t)
	app := f.app(t, "garden")
	f.release(t, "a")
	f.deploy(t, app, map[string]string{"web": "listen"})
	f.scale(t, "garden", controller.FormationUpdate{Type: "web", Quantity: ptr("2")})
	f.dynosAre(t, "garden", "web.1 up v3, web.2 up v3")
	f.deploy(t, app, map[string]string{"web": "exit 1"})
	await(t, "4", func() string { return fmt.Sprint(f.runner.starts("exit 1")) }) // each crashed, was restarted, and cools off
	f.dynosAre(t, "garden", "web.1 up v3, web.2 up v3")
	if got := f.serving(t); got != "a a" {
		t.Errorf("serving %q", got)
	}
}

func TestADynoStopsWhenTheRequestsItServesHaveEnded(t *testing.T) {
	var mu sync.Mutex
	var drained []string
	ended := make(chan struct{})
	f := open(t, t.TempDir(), func(cfg *controller.Config) {
		cfg.Drain = func(ctx context.Context, addrs []string) error {
			mu.Lock()
			drained = append(drained, addrs...)
			mu.Unlock()
			select {
			case <-ended:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	})
	if err := f.EnsureAccount(t.Context(), "a@localhost", "HRKU-0123456789abcdef"); err != nil {
		t.Fatal(err)
	}
	app := f.app(t, "garden")
	f.deploy(t, app, map[string]string{"web": "listen"})
	f.scale(t, "garden", controller.FormationUpdate{Type: "web", Quantity: ptr("2")})
	f.dynosAre(t, "garden", "web.1 up v2, web.2 up v2")
	dynos, err := f.Dynos(t.Context(), "garden")
	if err != nil {
		t.Fatal(err)
	}
	f.scale(t, "garden", controller.FormationUpdate{Type: "web", Quantity: ptr("1")})
	f.dynosAre(t, "garden", "web.1 up v2")
	await(t, dynos[1].Addr, func() string { mu.Lock(); defer mu.Unlock(); return strings.Join(drained, " ") })
	if f.runner.running() != 2 {
		t.Error("it was stopped while it served")
	}
	if e, _ := f.routes.Lookup("garden.localhost"); len(e.Dynos) != 1 {
		t.Errorf("the router still sends requests to it: %v", e.Dynos)
	}
	close(ended)
	await(t, "1", func() string { return fmt.Sprint(f.runner.running()) })
}

func TestAStartThatFailsIsTriedAgainAndCountsAsNoCrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		defer f.shut()
		app := f.app(t, "garden")
		hangs := errors.New("the engine hangs")
		_ = f.runner.trouble(&hangs)
		f.deploy(t, app, map[string]string{"worker": "wait"})
		f.scale(t, "garden", controller.FormationUpdate{Type: "worker", Quantity: ptr("1")})
		time.Sleep(time.Minute)
		f.logHas(t, app, "heroku[worker.1]: Dyno could not be started: the engine hangs")
		f.dynosAre(t, "garden", "worker.1 crashed v2")
		var well error
		_ = f.runner.trouble(&well)
		time.Sleep(time.Minute)
		synctest.Wait()
		f.dynosAre(t, "garden", "worker.1 up v2")
	})
}

func TestMemoryIsWarnedOfAndItsEndIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		defer f.shut()
		if err := f.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		app := f.app(t, "garden")
		f.deploy(t, app, map[string]string{"worker": "wait"})
		f.scale(t, "garden", controller.FormationUpdate{Type: "worker", Quantity: ptr("1")})
		f.runner.mu.Lock()
		f.runner.memory = 600 << 20
		f.runner.mu.Unlock()
		time.Sleep(21 * time.Second)
		f.logHas(t, app, "heroku[worker.1]: Process running mem=600M(117.2%)")
		f.logHas(t, app, "heroku[worker.1]: Error R14 (Memory quota exceeded)")
		f.runner.mu.Lock()
		for _, d := range f.runner.dynos {
			d.exit = dyno.Exit{Code: 137, Signal: "SIGKILL", Exhausted: true}
			d.once.Do(func() { close(d.stop) })
		}
		f.runner.mu.Unlock()
		time.Sleep(time.Second)
		for _, line := range []string{
			"Process running mem=1024M(200.0%)", "Error R15 (Memory quota vastly exceeded)", "Stopping process with SIGKILL",
			"Process exited with status 137", "State changed from up to crashed",
		} {
			f.logHas(t, app, "heroku[worker.1]: "+line)
		}
	})
}

func TestADynosMemoryIsLoggedWhereTheAppWantsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		defer f.shut()
		if err := f.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		app := f.app(t, "garden")
		f.deploy(t, app, map[string]string{"worker": "wait"})
		f.scale(t, "garden", controller.FormationUpdate{Type: "worker", Quantity: ptr("1")})
		f.runner.mu.Lock()
		f.runner.memory = 300 << 20
		f.runner.mu.Unlock()
		time.Sleep(time.Minute)
		for _, line := range f.logs.Recent(app.ID, logFilter(), 1500) {
			if strings.Contains(line.Text, "memory_total") {
				t.Errorf("nobody asked for %s", line.Text)
			}
		}
		if feature, err := f.SetFeature(t.Context(), "garden", "log-runtime-metrics", true); err != nil || !feature.Enabled {
			t.Errorf("turned on: %+v, %v", feature, err)
		}
		time.Sleep(21 * time.Second)
		dynos, err := f.Dynos(t.Context(), "garden")
		if err != nil || len(dynos) != 1 {
			t.Fatalf("%v, %v", dynos, err)
		}
		f.logHas(t, app, "heroku[worker.1]: source=worker.1 dyno=heroku."+app.ID+"."+dynos[0].ID+" sample#memory_total=300.00MB sample#memory_quota=512.00MB")
	})
}

func TestDynosAreCycledWithJitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := open(t, t.TempDir(), func(cfg *controller.Config) { cfg.Cycle = 24 * time.Hour })
		defer f.shut()
		if err := f.EnsureAccount(t.Context(), "a@localhost", "HRKU-0123456789abcdef"); err != nil {
			t.Fatal(err)
		}
		app := f.app(t, "garden")
		f.deploy(t, app, map[string]string{"worker": "wait"})
		f.scale(t, "garden", controller.FormationUpdate{Type: "worker", Quantity: ptr("10")})
		time.Sleep(24*time.Hour - time.Second)
		if n := f.runner.starts("wait"); n != 10 {
			t.Fatalf("%d starts within a day, want 10", n)
		}
		time.Sleep(108 * time.Minute)
		if n := f.runner.starts("wait"); n == 10 || n == 20 {
			t.Errorf("%d of 10 dynos were replaced at the same time", n-10)
		}
		time.Sleep(108*time.Minute + 2*time.Second)
		if n := f.runner.starts("wait"); n != 20 {
			t.Errorf("%d starts after the longest jitter, want 20", n)
		}
		f.logHas(t, app, "heroku[worker.1]: Cycling")
	})
}
