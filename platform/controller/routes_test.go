package controller_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"niwa/platform/controller"
	"niwa/router/route"
)

func TestAPlatformThatStopsHasRequestsWaitAtTheRoutersThatGoOn(t *testing.T) {
	var f *fixture
	rested := make(chan string, 1)
	f = open(t, t.TempDir(), func(cfg *controller.Config) {
		cfg.Drain = func(_ context.Context, addrs []string) error {
			app, _ := cfg.Routes.Lookup("garden.localhost")
			rested <- fmt.Sprintf("%s without %v, %d dynos run", app.State, addrs, f.runner.running())
			return nil
		}
	})
	if err := f.EnsureAccount(t.Context(), "a@localhost", "HRKU-0123456789abcdef"); err != nil {
		t.Fatal(err)
	}
	app := f.app(t, "garden")
	f.deploy(t, app, map[string]string{"web": "listen"})
	f.dynosAre(t, "garden", "web.1 up v2")
	await(t, string(route.Serving), func() string {
		app, _ := f.routes.Lookup("garden.localhost")
		return string(app.State)
	})
	dynos, err := f.Dynos(t.Context(), "garden")
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, want := <-rested, fmt.Sprintf("starting without [%s], 1 dynos run", dynos[0].Addr); got != want {
		t.Errorf("when it drained the routers the app was %s; want %s", got, want)
	}
	if n := f.runner.running(); n != 0 {
		t.Errorf("%d dynos run", n)
	}
	if app, _ := f.routes.Lookup("garden.localhost"); app.State != route.Starting || len(app.Dynos) != 0 {
		t.Errorf("the table it leaves behind has %+v", app)
	}
}

func TestADynoThatEndedWhileNoPlatformRanIsNotRoutedToAndNoCrashOfTheApp(t *testing.T) {
	f := newFixture(t)
	app := f.app(t, "garden")
	f.deploy(t, app, map[string]string{"web": "listen"})
	f.dynosAre(t, "garden", "web.1 up v2")
	dynos, err := f.Dynos(t.Context(), "garden")
	if err != nil {
		t.Fatal(err)
	}
	ended := f.runner.find(dynos[0].ID)
	f.runner.mu.Lock()
	ended.addr = "" // an engine knows none of a container that has ended
	f.runner.mu.Unlock()

	routed := make(chan string, 1)
	next := f.kill(t, func(cfg *controller.Config) { go func() { routed <- untilServing(cfg.Routes) }() })
	ended.once.Do(func() { close(ended.stop) }) // and only now it is told
	next.dynosAre(t, "garden", "web.1 up v2")
	if got := <-routed; got != "starting serving" {
		t.Errorf("the app was %s; want starting and then serving", got)
	}
}

// untilServing lists the states of the app until a new dyno of it serves.
func untilServing(routes *route.Table) string {
	var states []string
	for {
		changed := routes.Changed()
		if app, ok := routes.Lookup("garden.localhost"); ok {
			state := string(app.State)
			for _, d := range app.Dynos {
				if d.Addr == "" {
					state += " at no address"
				}
			}
			if states = append(states, state); app.State == route.Serving {
				return strings.Join(slices.Compact(states), " ")
			}
		}
		<-changed
	}
}

func TestADynoThatWasToStopIsNotRoutedToByTheNextPlatform(t *testing.T) {
	draining, over := make(chan string, 2), make(chan struct{})
	f := open(t, t.TempDir(), func(cfg *controller.Config) {
		cfg.Drain = func(_ context.Context, addrs []string) error {
			draining <- addrs[0]
			<-over // long after it is killed
			return nil
		}
	})
	t.Cleanup(func() { close(over) })
	if err := f.EnsureAccount(t.Context(), "a@localhost", "HRKU-0123456789abcdef"); err != nil {
		t.Fatal(err)
	}
	app := f.app(t, "garden")
	if _, err := f.SetFeature(t.Context(), "garden", "preboot", true); err != nil {
		t.Fatal(err)
	}
	f.release(t, "a")
	f.deploy(t, app, map[string]string{"web": "listen"})
	await(t, "a", func() string { return f.serving(t) })
	f.release(t, "b")
	old := <-draining

	drained := make(chan string, 2)
	next := f.kill(t, func(cfg *controller.Config) {
		cfg.Drain = func(_ context.Context, addrs []string) error {
			app, _ := cfg.Routes.Lookup("garden.localhost")
			drained <- fmt.Sprintf("%v, with %d others serving", addrs, len(app.Dynos))
			return nil
		}
	})
	if got := next.serving(t); got != "b" {
		t.Errorf("the next platform has %q serve", got)
	}
	if got, want := <-drained, fmt.Sprintf("[%s], with 1 others serving", old); got != want {
		t.Errorf("drained %s; want %s", got, want)
	}
	await(t, "1", func() string { return fmt.Sprint(f.runner.running()) })
}
