package controller_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"niwa/platform"
	"niwa/platform/controller"
	"niwa/router/policy"
	"niwa/router/route"
)

// routed is how the router is to route the app garden.
func (f *fixture) routed(t *testing.T) route.Routing {
	t.Helper()
	app, ok := f.routes.Lookup("garden.localhost")
	if !ok {
		t.Fatal("there is no route to the app")
	}
	return app.Routing
}

// enabled are the names of the features that are on.
func (f *fixture) enabled(t *testing.T) string {
	t.Helper()
	all, err := f.Features(t.Context(), "garden")
	if err != nil {
		t.Fatal(err)
	}
	var on []string
	for _, feature := range all {
		if feature.Enabled {
			on = append(on, feature.Name)
		}
	}
	return strings.Join(on, " ")
}

func TestFeaturesOfRoutingReachTheRouterAtOnce(t *testing.T) {
	f := newFixture(t)
	f.app(t, "garden")
	set := func(feature string, on bool) {
		t.Helper()
		if got, err := f.SetFeature(t.Context(), "garden", feature, on); err != nil || got.Enabled != on {
			t.Fatalf("%s: %+v, %v", feature, got, err)
		}
	}
	if got, want := f.enabled(t), "http-routing-2-dot-0"; got != want {
		t.Errorf("a new app has %s", got)
	}
	set("http-session-affinity", true)
	set("http-disable-keepalive-to-dyno", true)
	set("http-end-to-end-continue", true)
	set("http-routing-2-dot-0", false)
	want := route.Routing{Legacy: true, Affinity: true, EndToEndContinue: true, NoKeepAlive: true}
	if diff := cmp.Diff(want, f.routed(t)); diff != "" {
		t.Error(diff)
	}
	for _, feature := range []string{"http-session-affinity", "http-disable-keepalive-to-dyno", "http-end-to-end-continue"} {
		set(feature, false)
	}
	set("http-routing-2-dot-0", true)
	if diff := cmp.Diff(route.Routing{}, f.routed(t)); diff != "" {
		t.Error(diff)
	}
}

func TestOfTheRoutingPoliciesOneIsOn(t *testing.T) {
	f := newFixture(t)
	f.app(t, "garden")
	for _, name := range policy.Names()[1:] {
		if _, err := f.SetFeature(t.Context(), "garden", "routing-"+name, true); err != nil {
			t.Fatal(err)
		}
		if got, want := f.enabled(t), "http-routing-2-dot-0 routing-"+name; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		if got := f.routed(t).Policy; got != name {
			t.Errorf("the router has %q, want %q", got, name)
		}
	}
	for _, step := range []struct{ off, policy string }{{"routing-round-robin", "two-choices"}, {"routing-two-choices", ""}} {
		if _, err := f.SetFeature(t.Context(), "garden", step.off, false); err != nil {
			t.Fatal(err)
		}
		if got := f.routed(t).Policy; got != step.policy {
			t.Errorf("with %s off the router has %q, want %q", step.off, got, step.policy)
		}
	}
}

func TestWeightsAreSetOneByOneAndStay(t *testing.T) {
	f := newFixture(t)
	app := f.app(t, "garden")
	update := func(u controller.RoutingUpdate, want map[string]int) {
		t.Helper()
		if err := f.UpdateRouting(t.Context(), "garden", u); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, f.routed(t).Weights); diff != "" {
			t.Error(diff)
		}
	}
	roundRobin := "round-robin"
	update(controller.RoutingUpdate{Weights: map[string]int{"web.1": 9}}, map[string]int{"web.1": 9})
	update(controller.RoutingUpdate{Policy: &roundRobin}, map[string]int{"web.1": 9})
	update(controller.RoutingUpdate{Weights: map[string]int{"web.2": 0}}, map[string]int{"web.1": 9, "web.2": 0})
	f.logHas(t, app, "app[api]: Update routing to round-robin, web.1=9, web.2=0 by user gardener@localhost")
	next := f.kill(t)
	if got := next.routed(t); got.Policy != roundRobin || got.Weights["web.1"] != 9 {
		t.Errorf("the next platform routes with %+v", got)
	}
	if err := next.UpdateRouting(t.Context(), "garden", controller.RoutingUpdate{Weights: map[string]int{"web.1": 1, "web.2": 1}}); err != nil {
		t.Fatal(err)
	}
	if got := next.routed(t).Weights; len(got) > 0 {
		t.Errorf("when all weights are 1 there is %v", got)
	}
}

func TestRoutingThatCannotBe(t *testing.T) {
	f := newFixture(t)
	f.app(t, "garden")
	fastest := "fastest"
	for want, u := range map[string]controller.RoutingUpdate{
		`There is no routing policy "fastest"; choose one of random, round-robin, least-outstanding, two-choices.`: {Policy: &fastest},
		`"web.101" is no web dyno; weights are for web.1 to web.100.`:                                              {Weights: map[string]int{"web.101": 1}},
		`"worker.1" is no web dyno; weights are for web.1 to web.100.`:                                             {Weights: map[string]int{"worker.1": 1}},
		`The weight of web.1 can be 0 to 1000, not -1.`:                                                            {Weights: map[string]int{"web.1": -1}},
		`The weight of web.2 can be 0 to 1000, not 1001.`:                                                          {Weights: map[string]int{"web.2": 1001}},
	} {
		if e := refused(t, f.UpdateRouting(t.Context(), "garden", u), platform.InvalidParams); e.Message != want {
			t.Errorf("got %s, want %s", e.Message, want)
		}
	}
	refused(t, f.UpdateRouting(t.Context(), "nowhere", controller.RoutingUpdate{}), platform.NotFound)
	if app, err := f.App(t.Context(), "garden"); err != nil || !cmp.Equal(app.Routing, platform.Routing{}) {
		t.Errorf("got %+v, %v", app.Routing, err)
	}
}

func TestWithoutARouterOfItsOwnThePlatformKnowsOnlyTheWeights(t *testing.T) {
	f := newFixture(t)
	app := f.app(t, "garden")
	f.deploy(t, app, map[string]string{"web": "listen"})
	f.dynosAre(t, "garden", "web.1 up v2")
	if err := f.UpdateRouting(t.Context(), "garden", controller.RoutingUpdate{Weights: map[string]int{"web.1": 5}}); err != nil {
		t.Fatal(err)
	}
	await(t, "[{web.1 5 <nil> false}] <nil>", func() string {
		_, dynos, err := f.Routing(t.Context(), "garden")
		return fmt.Sprint(dynos, err)
	})
}
