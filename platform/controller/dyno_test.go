package controller_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"niwa/platform"
	"niwa/platform/controller"
	"niwa/router/route"
)

func ptr[T any](v T) *T { return &v }

func (f *fixture) scale(t *testing.T, app string, updates ...controller.FormationUpdate) []platform.Formation {
	t.Helper()
	got, err := f.UpdateFormation(t.Context(), app, updates)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestADeployStartsOneWebAndTheRouterFindsIt(t *testing.T) {
	f := newFixture(t)
	app := f.app(t, "garden")
	f.deploy(t, app, map[string]string{"web": "listen", "worker": "wait"})
	f.dynosAre(t, "garden", "web.1 up v2")
	await(t, "serving 1", func() string {
		a, ok := f.routes.Lookup("garden.localhost:8080")
		return fmt.Sprint(map[bool]route.State{true: a.State}[ok], " ", len(a.Dynos))
	})
}

func TestScalingChangesWhatRuns(t *testing.T) {
	f := newFixture(t)
	app := f.app(t, "garden")
	f.deploy(t, app, map[string]string{"web": "listen", "worker": "wait"})
	f.scale(t, "garden", controller.FormationUpdate{Type: "web", Quantity: ptr("+1")}, controller.FormationUpdate{Type: "worker", Quantity: ptr("2")})
	f.dynosAre(t, "garden", "web.1 up v2, web.2 up v2, worker.1 up v2, worker.2 up v2")
	f.scale(t, "garden", controller.FormationUpdate{Type: "web", Quantity: ptr("0")}, controller.FormationUpdate{Type: "worker", Quantity: ptr("-1")})
	f.dynosAre(t, "garden", "worker.1 up v2")
	await(t, "no-dynos", func() string {
		a, _ := f.routes.Lookup("garden.localhost")
		return string(a.State)
	})
}

func TestFormationUpdatesThatCannotBe(t *testing.T) {
	f := newFixture(t)
	app := f.app(t, "garden")
	f.deploy(t, app, map[string]string{"web": "listen"})
	for name, update := range map[string]controller.FormationUpdate{
		"a type the Procfile does not declare": {Type: "clock", Quantity: ptr("1")},
		"fewer than none":                      {Type: "web", Quantity: ptr("-9")},
		"more than a hundred":                  {Type: "web", Quantity: ptr("101")},
		"no number":                            {Type: "web", Quantity: ptr("many")},
		"a size that does not exist":           {Type: "web", Size: ptr("Gigantic")},
		"two dynos of size Basic":              {Type: "web", Quantity: ptr("2"), Size: ptr("basic")},
	} {
		_, err := f.UpdateFormation(t.Context(), "garden", []controller.FormationUpdate{{Type: "web", Quantity: ptr("5")}, update})
		t.Run(name, func(t *testing.T) { refused(t, err, platform.InvalidParams) })
	}
	got, err := f.Formation(t.Context(), "garden")
	if err != nil || got[0].Quantity != 1 {
		t.Errorf("an update that was refused left its mark: %+v, %v", got, err)
	}
}

func TestEveryReleaseRunsWithItsConfig(t *testing.T) {
	f := newFixture(t)
	app := f.app(t, "garden")
	f.deploy(t, app, map[string]string{"web": "listen"})
	f.dynosAre(t, "garden", "web.1 up v2") // else v2's may be the last to start
	if _, err := f.SetConfigVars(t.Context(), "garden", map[string]*string{"A": ptr("1")}); err != nil {
		t.Fatal(err)
	}
	f.dynosAre(t, "garden", "web.1 up v3")
	if last := f.runner.last(); last.Env["A"] != "1" || last.Env["DYNO"] != "web.1" || !last.Web {
		t.Errorf("it was started as %+v", last)
	}
	if _, err := f.Rollback(t.Context(), "garden", "v2"); err != nil {
		t.Fatal(err)
	}
	f.dynosAre(t, "garden", "web.1 up v4")
	if env := f.runner.last().Env; env["A"] != "" {
		t.Errorf("after a rollback A is still %q", env["A"])
	}
}

func TestRestartsReplaceDynos(t *testing.T) {
	f := newFixture(t)
	app := f.app(t, "garden")
	f.deploy(t, app, map[string]string{"web": "listen", "worker": "wait"})
	f.scale(t, "garden", controller.FormationUpdate{Type: "worker", Quantity: ptr("1")})
	f.dynosAre(t, "garden", "web.1 up v2, worker.1 up v2")
	for _, which := range []string{"web.1", "web", ""} {
		before := f.runner.starts("listen")
		if err := f.Restart(t.Context(), "garden", which); err != nil {
			t.Fatal(err)
		}
		await(t, fmt.Sprint(before+1), func() string { return fmt.Sprint(f.runner.starts("listen")) })
		f.dynosAre(t, "garden", "web.1 up v2, worker.1 up v2")
	}
	if n := f.runner.starts("wait"); n != 2 {
		t.Errorf("worker was started %d times, want 2: only the restart of all is its own", n)
	}
	refused(t, f.Restart(t.Context(), "garden", "web.9"), platform.NotFound)
}

func TestACrashedDynoRestartsAtOnceAndThenCoolsOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		defer f.shut()
		app := f.app(t, "garden")
		f.deploy(t, app, map[string]string{"worker": "exit 3"})
		f.scale(t, "garden", controller.FormationUpdate{Type: "worker", Quantity: ptr("1")})
		begin := time.Now()
		for crash, after := range []time.Duration{0, 0, 20 * time.Minute, 60 * time.Minute, 140 * time.Minute} {
			time.Sleep(time.Until(begin.Add(after)) + time.Second)
			synctest.Wait()
			if n := f.runner.starts("exit 3"); crash > 0 && n != crash+1 {
				t.Fatalf("%v after the first crash %d dynos have started, want %d", after, n, crash+1)
			}
		}
		f.dynosAre(t, "garden", "worker.1 crashed v2")
		if err := f.Restart(t.Context(), "garden", "worker.1"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if n := f.runner.starts("exit 3"); n != 7 {
			t.Errorf("a restart by hand led to %d starts, want 7: at once, and again after the first crash", n)
		}
	})
}

func TestAWebDynoThatDoesNotBindItsPortIsKilledAfter60Seconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		defer f.shut()
		app := f.app(t, "garden")
		f.deploy(t, app, map[string]string{"web": "wait"})
		time.Sleep(59 * time.Second)
		f.dynosAre(t, "garden", "web.1 starting v2")
		time.Sleep(2 * time.Second)
		synctest.Wait()
		f.logHas(t, app, "heroku[web.1]: Error R10 (Boot timeout) -> Web process failed to bind to $PORT within 60 seconds of launch")
		f.logHas(t, app, "heroku[web.1]: State changed from starting to crashed")
	})
}

func (f *fixture) logHas(t *testing.T, app platform.App, want string) {
	t.Helper()
	var all []string
	for _, line := range f.logs.Recent(app.ID, logFilter(), 1500) {
		text := fmt.Sprintf("%s[%s]: %s", line.Source, line.Dyno, line.Text)
		if text == want {
			return
		}
		all = append(all, text)
	}
	t.Errorf("no line %q in\n%s", want, strings.Join(all, "\n"))
}

func TestTheReleasePhaseComesBeforeTheNewDynos(t *testing.T) {
	f := newFixture(t)
	app := f.app(t, "garden")
	f.deploy(t, app, map[string]string{"web": "listen"})
	f.dynosAre(t, "garden", "web.1 up v2")

	bad := f.deploy(t, app, map[string]string{"web": "listen", "release": "exit 1"})
	f.statusIs(t, bad.ID, platform.Failed)
	f.dynosAre(t, "garden", "web.1 up v2")

	if _, err := f.SetConfigVars(t.Context(), "garden", map[string]*string{"ECHO": ptr("migrated 3 tables")}); err != nil {
		t.Fatal(err)
	}
	f.dynosAre(t, "garden", "web.1 up v4")
	good := f.deploy(t, app, map[string]string{"web": "listen", "release": "exit 0"})
	output, err := f.Output(t.Context(), good.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer output.Close()
	text, err := io.ReadAll(output)
	if err != nil || string(text) != "migrated 3 tables\n" {
		t.Errorf("the output is %q, %v", text, err)
	}
	f.statusIs(t, good.ID, platform.Succeeded)
	f.dynosAre(t, "garden", "web.1 up v5")
}

func TestADynoThatIsLostWithItsEngineHasNotCrashed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		defer f.shut()
		app := f.app(t, "garden")
		f.deploy(t, app, map[string]string{"worker": "wait"})
		f.scale(t, "garden", controller.FormationUpdate{Type: "worker", Quantity: ptr("1")})
		for range 3 {
			synctest.Wait()
			f.runner.lose()
		}
		f.dynosAre(t, "garden", "worker.1 up v2")

		r := f.deploy(t, app, map[string]string{"worker": "wait", "release": "wait"})
		synctest.Wait()
		f.runner.lose()
		time.Sleep(time.Second)
		f.statusIs(t, r.ID, platform.Pending)
		if n := f.runner.starts("wait"); n != 7 {
			t.Errorf("%d dynos have started, want 5 workers and a release phase twice", n)
		}
	})
}

func TestAReleasePhaseThatCannotBeStartedIsTriedAgain(t *testing.T) {
	for name, tt := range map[string]struct {
		after time.Duration
		want  string
	}{"an engine that is back soon": {10 * time.Second, platform.Succeeded}, "an engine that stays away": {20 * time.Second, platform.Failed}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t)
				defer f.shut()
				app := f.app(t, "garden")
				away, well := errors.New("the engine is away"), error(nil)
				_ = f.runner.trouble(&away)
				r := f.deploy(t, app, map[string]string{"worker": "wait", "release": "exit 0"})
				time.Sleep(tt.after)
				_ = f.runner.trouble(&well)
				time.Sleep(10 * time.Second)
				synctest.Wait()
				f.statusIs(t, r.ID, tt.want)
			})
		})
	}
}

func TestAReleasePhaseRunsOnceHoweverOftenTheCrewLooks(t *testing.T) {
	f := newFixture(t)
	app := f.app(t, "garden")
	var looks sync.WaitGroup
	done := make(chan struct{})
	looks.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				_ = f.Restart(t.Context(), "garden", "") // refused until there is code; either way is fine
			}
		}
	})
	const releases = 40
	for range releases {
		r := f.deploy(t, app, map[string]string{"worker": "wait", "release": "exit 0"})
		f.statusIs(t, r.ID, platform.Succeeded)
	}
	close(done)
	looks.Wait()
	if n := f.runner.starts("exit 0"); n != releases {
		t.Errorf("%d releases ran %d phases", releases, n)
	}
}

func TestAnAddonsReleaseWaitsForThePhaseBeforeIt(t *testing.T) {
	for ends, want := range map[string]string{"exit 1": "good", "exit 0": "new"} {
		t.Run("a phase that will "+ends, func(t *testing.T) {
			f := newFixture(t)
			app := f.app(t, "garden")
			addon := f.addon(t, "garden", controller.AddonRequest{Plan: "quick"})
			good := f.deploy(t, app, map[string]string{"web": "listen"})
			f.dynosAre(t, "garden", "web.1 up v3")
			f.runner.hold = make(chan struct{})
			pending := f.deploy(t, app, map[string]string{"web": "listen", "release": ends})
			attached, err := f.Attach(t.Context(), controller.AttachmentRequest{Addon: addon.ID, App: "garden", Name: "MIRROR"})
			if err != nil {
				t.Fatal(err)
			}
			r, err := f.Release(t.Context(), "garden", "v5")
			if err != nil || r.Status != platform.Pending {
				t.Fatalf("the release of %s did not wait: %+v, %v", attached.Name, r, err)
			}
			close(f.runner.hold)
			f.dynosAre(t, "garden", "web.1 up v5")
			r, err = f.Release(t.Context(), "garden", "v5")
			slug := map[string]string{"good": *good.SlugID, "new": *pending.SlugID}[want]
			if err != nil || *r.SlugID != slug {
				t.Errorf("v5 runs slug %s, want the %s one; %v", *r.SlugID, want, err)
			}
		})
	}
}

func (f *fixture) statusIs(t *testing.T, release, want string) {
	t.Helper()
	await(t, want, func() string {
		r, err := f.Release(t.Context(), "garden", release)
		if err != nil {
			return err.Error()
		}
		return r.Status
	})
}

func TestOneOffDynosEndAndAreForgotten(t *testing.T) {
	f := newFixture(t)
	app := f.app(t, "garden")
	if _, err := f.Run(t.Context(), "garden", controller.RunRequest{Command: "exit 0"}); err == nil {
		t.Error("a dyno ran in an app without code")
	}
	f.deploy(t, app, map[string]string{"web": "listen"})
	f.dynosAre(t, "garden", "web.1 up v2")
	d, err := f.Run(t.Context(), "garden", controller.RunRequest{Command: "wait", Env: map[string]string{"ECHO": "hello"}, Size: "standard-2x"})
	if err != nil {
		t.Fatal(err)
	}
	f.dynosAre(t, "garden", d.Name+" up v2, web.1 up v2")
	if err := f.Restart(t.Context(), "garden", d.Name); err != nil {
		t.Fatal(err)
	}
	f.dynosAre(t, "garden", "web.1 up v2")
	await(t, "true", func() string {
		return fmt.Sprint(len(f.logs.Recent(app.ID, logFilter(), 1500)) > 0 && hasLine(f, app, "app["+d.Name+"]: hello") && hasLine(f, app, "heroku["+d.Name+"]: State changed from up to complete"))
	})
}

func hasLine(f *fixture, app platform.App, want string) bool {
	for _, line := range f.logs.Recent(app.ID, logFilter(), 1500) {
		if fmt.Sprintf("%s[%s]: %s", line.Source, line.Dyno, line.Text) == want {
			return true
		}
	}
	return false
}

func TestStoppingAndStartingKeepsWhatRuns(t *testing.T) {
	f := newFixture(t)
	app := f.app(t, "garden")
	f.deploy(t, app, map[string]string{"web": "listen"})
	f.scale(t, "garden", controller.FormationUpdate{Type: "web", Quantity: ptr("2")})
	f.dynosAre(t, "garden", "web.1 up v2, web.2 up v2")
	f.shut()
	again := open(t, f.dir)
	if err := again.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	again.dynosAre(t, "garden", "web.1 up v2, web.2 up v2")
}

func TestDestroyingAnAppStopsItsDynosAndTakesItsFiles(t *testing.T) {
	f := newFixture(t)
	app := f.app(t, "garden")
	r := f.deploy(t, app, map[string]string{"web": "listen"})
	f.dynosAre(t, "garden", "web.1 up v2")
	kept := f.app(t, "pond")
	for _, a := range []platform.App{app, kept} {
		if err := os.MkdirAll(filepath.Join(f.dir, "repos", a.ID+".git"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	slug := filepath.Join(f.dir, "slugs", *r.SlugID+".tgz")
	if err := os.MkdirAll(filepath.Dir(slug), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(slug, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := f.DestroyApp(t.Context(), "garden"); err != nil {
		t.Fatal(err)
	}
	await(t, "false false true", func() string {
		return fmt.Sprint(exists(slug), " ", exists(filepath.Join(f.dir, "repos", app.ID+".git")), " ", exists(filepath.Join(f.dir, "repos", kept.ID+".git")))
	})
	if _, ok := f.routes.Lookup("garden.localhost"); ok {
		t.Error("the router still knows the app")
	}
	_, err := f.Dynos(t.Context(), "garden")
	refused(t, err, platform.NotFound)
}
