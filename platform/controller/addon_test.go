package controller_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"niwa/platform"
	"niwa/platform/controller"
	"niwa/platform/logplex"
)

func logFilter() logplex.Filter { return logplex.Filter{} }

func (f *fixture) addon(t *testing.T, app string, req controller.AddonRequest) platform.Addon {
	t.Helper()
	a, err := f.CreateAddon(t.Context(), app, req)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func (f *fixture) config(t *testing.T, app string) platform.Config {
	t.Helper()
	c, err := f.ConfigVars(t.Context(), app)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (f *fixture) version(t *testing.T, app string) int {
	t.Helper()
	all, err := f.Releases(t.Context(), app)
	if err != nil {
		t.Fatal(err)
	}
	return all[len(all)-1].Version
}

func TestAnAddonBringsItsConfigVarsWithARelease(t *testing.T) {
	f := newFixture(t)
	f.app(t, "garden")
	a := f.addon(t, "garden", controller.AddonRequest{Plan: "quick"})
	if a.State != platform.AddonProvisioned || a.Plan != "quick:small" || a.Engine != "native" {
		t.Errorf("got %+v", a)
	}
	if got := f.config(t, "garden")["QUICK_URL"]; got != "fake://"+a.ID {
		t.Errorf("QUICK_URL is %q", got)
	}
	if v := f.version(t, "garden"); v != 2 {
		t.Errorf("the newest release is v%d, want v2", v)
	}
}

func TestAnAsynchronousAddonIsProvisionedLater(t *testing.T) {
	f := newFixture(t)
	f.app(t, "garden")
	f.provider.hold = make(chan struct{})
	a := f.addon(t, "garden", controller.AddonRequest{Plan: "slow:small"})
	if a.State != platform.AddonProvisioning || f.config(t, "garden")["DATABASE_URL"] != "" {
		t.Errorf("it was provisioned at once: %+v", a)
	}
	close(f.provider.hold)
	f.stateIs(t, a.ID, platform.AddonProvisioned)
	await(t, "fake://"+a.ID, func() string { return f.config(t, "garden")["DATABASE_URL"] })
}

func (f *fixture) stateIs(t *testing.T, addon, want string) {
	t.Helper()
	await(t, want, func() string {
		a, err := f.Addon(t.Context(), addon)
		if err != nil {
			return err.Error()
		}
		return a.State
	})
}

func TestProvisioningGoesOnAfterARestart(t *testing.T) {
	f := newFixture(t)
	f.app(t, "garden")
	f.provider.hold = make(chan struct{})
	a := f.addon(t, "garden", controller.AddonRequest{Plan: "slow"})
	f.shut()
	again := open(t, f.dir)
	if err := again.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	again.stateIs(t, a.ID, platform.AddonProvisioned)
}

func TestAnAddonThatCannotBeProvidedSaysWhy(t *testing.T) {
	f := newFixture(t)
	f.app(t, "garden")
	f.provider.fail = errors.New("no engine here")
	_, err := f.CreateAddon(t.Context(), "garden", controller.AddonRequest{Plan: "quick"})
	if e := refused(t, err, platform.Unavailable); !strings.Contains(e.Message, "no engine here") {
		t.Errorf("got %q", e.Message)
	}
	all, err := f.Addons(t.Context(), "garden")
	if err != nil || len(all) != 0 {
		t.Errorf("left: %v, %v", all, err)
	}
	f.provider.breaks(nil)
	await(t, "0", func() string { return fmt.Sprint(f.provider.count()) })
	f.addon(t, "garden", controller.AddonRequest{Plan: "quick"})
}

func TestAttachmentsAreNamedReplacedAndDetached(t *testing.T) {
	f := newFixture(t)
	f.app(t, "garden")
	f.app(t, "pond")
	first := f.addon(t, "garden", controller.AddonRequest{Plan: "slow", Name: "first"})
	second := f.addon(t, "garden", controller.AddonRequest{Plan: "slow", Name: "second"})
	f.stateIs(t, "first", platform.AddonProvisioned)
	f.stateIs(t, "second", platform.AddonProvisioned)
	names := func(app string) string {
		all, err := f.Attachments(t.Context(), app, "")
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, a := range all {
			out = append(out, fmt.Sprintf("%s=%s", a.Name, map[string]string{first.ID: "first", second.ID: "second"}[a.AddonID]))
		}
		return strings.Join(out, " ")
	}
	if got := names("garden"); got != "DATABASE=first SLOW_AMBER=second" {
		t.Fatalf("attached as %s", got)
	}

	_, err := f.Attach(t.Context(), controller.AttachmentRequest{Addon: "second", App: "garden", Name: "DATABASE"})
	if e := refused(t, err, platform.ConfirmationRequired); e.App != "garden" {
		t.Errorf("the app to confirm is %q", e.App)
	}
	_, err = f.Attach(t.Context(), controller.AttachmentRequest{Addon: "second", App: "garden", Name: "DATABASE", Confirm: "garden"})
	refused(t, err, platform.Forbidden) // DATABASE is the last of first at home
	if _, err := f.Attach(t.Context(), controller.AttachmentRequest{Addon: "first", App: "garden"}); err != nil {
		t.Fatal(err)
	}
	if _, err = f.Attach(t.Context(), controller.AttachmentRequest{Addon: "second", App: "garden", Name: "DATABASE", Confirm: "garden"}); err != nil {
		t.Fatal(err)
	}
	if got := names("garden"); got != "DATABASE=second SLOW_AMBER=second SLOW_AQUA=first" {
		t.Fatalf("after the promotion attached as %s", got)
	}

	other, err := f.Attach(t.Context(), controller.AttachmentRequest{Addon: "first", App: "pond", Name: "garden_db"})
	if err != nil || f.config(t, "pond")["GARDEN_DB_URL"] == "" {
		t.Fatalf("%v; config %v", err, f.config(t, "pond"))
	}
	_, err = f.DestroyAddon(t.Context(), "first", false)
	refused(t, err, platform.Conflict)
	if _, err := f.Detach(t.Context(), other.ID); err != nil || len(f.config(t, "pond")) != 0 {
		t.Fatalf("%v; config %v", err, f.config(t, "pond"))
	}
	if a, err := f.DestroyAddon(t.Context(), "first", false); err != nil || a.State != platform.AddonDeprovisioned {
		t.Fatalf("%+v, %v", a, err)
	}
	if f.provider.count() != 1 {
		t.Errorf("the provider has %d, want 1", f.provider.count())
	}
}

func TestWhatAUserMayCallAnAddon(t *testing.T) {
	f := newFixture(t)
	f.app(t, "garden")
	a := f.addon(t, "garden", controller.AddonRequest{Plan: "quick", Name: "my-quick"})
	for _, name := range []string{"my-quick", a.ID, "quick", "quick:small", "QUICK", "quick_url", "garden::QUICK"} {
		found, err := f.ResolveAttachment(t.Context(), name, "garden")
		if err != nil || len(found) != 1 || found[0].AddonID != a.ID {
			t.Errorf("%s: %v, %v", name, found, err)
		}
	}
	_, err := f.ResolveAttachment(t.Context(), "DATABASE", "garden")
	if e := refused(t, err, platform.NotFound); e.Resource != "add_on attachment" {
		t.Errorf("resource is %q", e.Resource)
	}
	_, err = f.ResolveAddon(t.Context(), "nothing", "garden")
	refused(t, err, platform.NotFound)
}

func TestARotatedCredentialIsReleased(t *testing.T) {
	f := newFixture(t)
	f.app(t, "garden")
	a := f.addon(t, "garden", controller.AddonRequest{Plan: "quick"})
	before := f.version(t, "garden")
	if err := f.RotateCredentials(t.Context(), a.Name, "default"); err != nil {
		t.Fatal(err)
	}
	if got := f.config(t, "garden")["QUICK_URL"]; got != "fake://"+a.ID+"/1" {
		t.Errorf("QUICK_URL is %q", got)
	}
	if v := f.version(t, "garden"); v != before+1 {
		t.Errorf("v%d came after v%d", v, before)
	}
}

func TestARotationThatFailsHalfwayIsFinished(t *testing.T) {
	for name, after := range map[string]func(*testing.T, *fixture) *fixture{
		"once the server is back": func(_ *testing.T, f *fixture) *fixture { f.provider.breaks(nil); return f },
		"by the next start": func(t *testing.T, f *fixture) *fixture {
			f.shut()
			again := open(t, f.dir)
			if err := again.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			return again
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.app(t, "garden")
			a := f.addon(t, "garden", controller.AddonRequest{Plan: "quick"})
			f.provider.breaks(errors.New("the server has just been killed"))
			if err := f.RotateCredentials(t.Context(), a.Name, "default"); err == nil {
				t.Fatal("it is said to have worked")
			}
			f = after(t, f)
			await(t, "fake://"+a.ID+"/1", func() string { return f.config(t, "garden")["QUICK_URL"] })
		})
	}
}

func TestAnAcknowledgedAddonOutlivesACrashOfItsServer(t *testing.T) {
	f := newFixture(t)
	f.app(t, "garden")
	f.provider.breaks(errors.New("the server has just been killed"))
	a := f.addon(t, "garden", controller.AddonRequest{Plan: "slow"})
	await(t, "true", func() string { return fmt.Sprint(f.provider.asked() > 0) })
	f.provider.breaks(nil)
	f.stateIs(t, a.ID, platform.AddonProvisioned)
}

func TestAnAddonThatIsDestroyedWhileItIsProvisionedIsGone(t *testing.T) {
	f := newFixture(t)
	f.app(t, "garden")
	f.provider.hold = make(chan struct{})
	a := f.addon(t, "garden", controller.AddonRequest{Plan: "slow"})
	await(t, "true", func() string { return fmt.Sprint(f.provider.asked() > 0) })
	destroyed := make(chan error)
	go func() {
		_, err := f.DestroyAddon(context.Background(), a.ID, false)
		destroyed <- err
	}()
	f.stateIs(t, a.ID, platform.AddonDeprovisioning)
	close(f.provider.hold)
	if err := <-destroyed; err != nil {
		t.Fatal(err)
	}
	if f.provider.count() != 0 {
		t.Error("the provider still has it")
	}
	if config := f.config(t, "garden"); len(config) != 0 {
		t.Errorf("its config vars came after its end: %v", config)
	}
}

func TestConfigVarsThatCannotBeSet(t *testing.T) {
	f := newFixture(t)
	f.app(t, "garden")
	f.addon(t, "garden", controller.AddonRequest{Plan: "quick"})
	big := strings.Repeat("x", 64<<10)
	for name, vars := range map[string]map[string]*string{
		"one that an add-on sets":  {"QUICK_URL": ptr("x")},
		"unset one of an add-on":   {"QUICK_URL": nil},
		"a name with an equals":    {"A=B": ptr("x")},
		"no name":                  {"": ptr("x")},
		"a zero byte":              {"A": ptr("x\x00")},
		"more than 64 KB together": {"A": &big},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := f.SetConfigVars(t.Context(), "garden", vars)
			refused(t, err, platform.InvalidParams)
		})
	}
	if v := f.version(t, "garden"); v != 2 {
		t.Errorf("refused changes made releases: v%d", v)
	}
	if _, err := f.SetConfigVars(t.Context(), "garden", map[string]*string{"A": ptr("1")}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.SetConfigVars(t.Context(), "garden", map[string]*string{"A": ptr("1")}); err != nil {
		t.Fatal(err)
	}
	if v := f.version(t, "garden"); v != 3 {
		t.Errorf("setting what is set already made a release: v%d", v)
	}
}

func TestDestroyingAnAppDeprovisionsItsAddons(t *testing.T) {
	f := newFixture(t)
	f.app(t, "garden")
	f.addon(t, "garden", controller.AddonRequest{Plan: "quick"})
	f.provider.fail = errors.New("not now")
	if _, err := f.DestroyApp(t.Context(), "garden"); err != nil {
		t.Fatal(err)
	}
	f.shut()
	again := open(t, f.dir)
	again.provider.have = f.provider.have
	if err := again.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	await(t, "0", func() string { return fmt.Sprint(again.provider.count()) })
	if _, err := again.CreateApp(t.Context(), "garden", ""); err != nil {
		t.Errorf("the name is not free again: %v", err)
	}
}

func TestAppsThatShareAnAddonAreReleasedWhenItsOwnerGoes(t *testing.T) {
	f := newFixture(t)
	f.app(t, "garden")
	pond := f.app(t, "pond")
	a := f.addon(t, "garden", controller.AddonRequest{Plan: "quick"})
	f.deploy(t, pond, map[string]string{"web": "listen"})
	f.dynosAre(t, "pond", "web.1 up v2") // else v2's may be the last to start
	if _, err := f.Attach(t.Context(), controller.AttachmentRequest{Addon: a.ID, App: "pond", Name: "SHARED"}); err != nil {
		t.Fatal(err)
	}
	f.dynosAre(t, "pond", "web.1 up v3")
	if _, err := f.DestroyApp(t.Context(), "garden"); err != nil {
		t.Fatal(err)
	}
	f.dynosAre(t, "pond", "web.1 up v4")
	if env := f.runner.last().Env; env["SHARED_URL"] != "" {
		t.Errorf("the dyno still has SHARED_URL=%s", env["SHARED_URL"])
	}
}

func TestAConfigVarOfOnesOwnIsNotShadowedUnasked(t *testing.T) {
	f := newFixture(t)
	f.app(t, "garden")
	if _, err := f.SetConfigVars(t.Context(), "garden", map[string]*string{"DATABASE_URL": ptr("mine")}); err != nil {
		t.Fatal(err)
	}
	a := f.addon(t, "garden", controller.AddonRequest{Plan: "slow"})
	f.stateIs(t, a.ID, platform.AddonProvisioned)
	await(t, "mine fake://"+a.ID, func() string { c := f.config(t, "garden"); return c["DATABASE_URL"] + " " + c["SLOW_AMBER_URL"] })
	_, err := f.Attach(t.Context(), controller.AttachmentRequest{Addon: a.ID, App: "garden", Name: "DATABASE"})
	refused(t, err, platform.ConfirmationRequired)
}
