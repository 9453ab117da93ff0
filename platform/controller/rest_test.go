package controller_test

import (
	"context"
	"fmt"
	"testing"

	"niwa/platform/controller"
	"niwa/router/route"
)

func TestAPlatformThatStopsHasRequestsWaitAtTheRoutersThatGoOn(t *testing.T) {
	var f *fixture
	rested := make(chan string, 1)
	f = open(t, t.TempDir(), func(cfg *controller.Config) {
		cfg.Drain = func(_ context.Context, addrs []string) error {
			app, _ := cfg.Routes.Table().Lookup("garden.localhost")
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
		app, _ := f.routes.Table().Lookup("garden.localhost")
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
	if app, _ := f.routes.Table().Lookup("garden.localhost"); app.State != route.Starting || len(app.Dynos) != 0 {
		t.Errorf("the table it leaves behind has %+v", app)
	}
}
