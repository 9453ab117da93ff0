package controller_test

import (
	"context"
	"testing"

	"niwa/addons"
	"niwa/platform/controller"
)

// moving is a provider whose resources are at another address than they were.
type moving struct {
	*fakeProvider
	to string
}

func (m moving) Credentials(context.Context, string) (map[string]map[string]string, error) {
	return map[string]map[string]string{addons.Default: {"URL": m.to}}, nil
}

func TestAnAddonThatMovedIsReleasedWhereItIsNow(t *testing.T) {
	f := newFixture(t)
	f.app(t, "garden")
	f.addon(t, "garden", controller.AddonRequest{Plan: "quick"})
	before := f.version(t, "garden")
	was := f.config(t, "garden")["QUICK_URL"]
	f.shut()

	const now = "redis://elsewhere"
	for range 2 { // it moves once
		f = open(t, f.dir, func(cfg *controller.Config) {
			cfg.Providers["redis"] = moving{cfg.Providers["redis"].(*fakeProvider), now}
		})
		if err := f.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := f.config(t, "garden")["QUICK_URL"]; got != now || got == was {
			t.Errorf("QUICK_URL is %q, and was %q", got, was)
		}
		if got := f.version(t, "garden"); got != before+1 {
			t.Errorf("it is at v%d, and was at v%d", got, before)
		}
		f.shut()
	}
}
