package controller_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"niwa/addons"
	"niwa/platform/controller"
)

// mover is a provider whose resources have moved to another host.
type mover struct {
	*fakeProvider
	host string

	mu    sync.Mutex
	plans []string // that it was asked for
	fails int      // how often it is asked in vain
}

func (m *mover) ChangePlan(_ context.Context, _ string, plan addons.Plan) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.plans = append(m.plans, plan.Name)
	if m.fails > 0 {
		m.fails--
		return errors.New("the server has just been killed")
	}
	return nil
}

func (m *mover) Credentials(_ context.Context, id string) (map[string]map[string]string, error) {
	return map[string]map[string]string{addons.Default: {"URL": "fake://" + m.host + "/" + id}}, nil
}

func (m *mover) asked() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return fmt.Sprint(m.plans)
}

// reopen shuts a fixture and opens the next, with a provider that has moved.
func (f *fixture) reopen(t *testing.T, m *mover) *fixture {
	t.Helper()
	f.shut()
	again := open(t, f.dir)
	m.fakeProvider = again.provider
	again.Providers["redis"] = m
	if err := again.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return again
}

func TestAnAddonThatHasMovedIsFollowedByItsConfigVarsAndDynos(t *testing.T) {
	f := newFixture(t)
	app := f.app(t, "garden")
	a := f.addon(t, "garden", controller.AddonRequest{Plan: "quick"})
	f.deploy(t, app, map[string]string{"web": "listen"})
	f.dynosAre(t, "garden", "web.1 up v3")
	f = f.reopen(t, &mover{host: "pond"})
	if got := f.config(t, "garden")["QUICK_URL"]; got != "fake://pond/"+a.ID {
		t.Errorf("QUICK_URL is %q", got)
	}
	f.dynosAre(t, "garden", "web.1 up v4")
	if got := f.runner.last().Env["QUICK_URL"]; got != "fake://pond/"+a.ID {
		t.Errorf("the dyno has %q", got)
	}
	f = f.reopen(t, &mover{host: "pond"})
	if v := f.version(t, "garden"); v != 4 {
		t.Errorf("where nothing moved there is a release: v%d", v)
	}
}

func TestAnAddonThatDoesNotAnswerIsAskedAgain(t *testing.T) {
	f := newFixture(t)
	f.app(t, "garden")
	a := f.addon(t, "garden", controller.AddonRequest{Plan: "quick"})
	f = f.reopen(t, &mover{host: "pond", fails: 2})
	await(t, "fake://pond/"+a.ID, func() string { return f.config(t, "garden")["QUICK_URL"] })
}

func TestAPlanIsWrittenDownBeforeItIsChanged(t *testing.T) {
	f := newFixture(t)
	f.app(t, "garden")
	a := f.addon(t, "garden", controller.AddonRequest{Plan: "quick"})
	m := &mover{fakeProvider: f.provider, fails: 1}
	f.Providers["redis"] = m
	plan := "quick:large"
	if _, err := f.UpdateAddon(t.Context(), a.ID, &plan, nil); err == nil {
		t.Fatal("it is said to have worked")
	}
	if got, err := f.Addon(t.Context(), a.ID); err != nil || got.Plan != "quick:small" {
		t.Errorf("a change that failed is on record: %s, %v", got.Plan, err)
	}
	if _, err := f.UpdateAddon(t.Context(), a.ID, &plan, nil); err != nil {
		t.Fatal(err)
	}
	next := &mover{host: "pond"}
	f.reopen(t, next)
	if m.asked() != "[quick:large quick:large]" || next.asked() != "[quick:large]" {
		t.Errorf("asked for %s, and by the next start for %s", m.asked(), next.asked())
	}
}
