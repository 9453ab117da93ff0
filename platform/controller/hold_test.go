package controller_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"niwa/platform"
	"niwa/platform/controller"
)

func TestWhatIsHeldStaysUntilTheLastRelease(t *testing.T) {
	f := newFixture(t)
	app := f.app(t, "garden")
	r := f.deploy(t, app, map[string]string{"worker": "sleep"})
	f.dynosAre(t, "garden", "")
	slug := filepath.Join(f.dir, "slugs", *r.SlugID+".tgz")
	if err := os.MkdirAll(filepath.Dir(slug), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(slug, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	f.addon(t, "garden", controller.AddonRequest{Plan: "quick"})
	f.app(t, "pond")
	other := f.addon(t, "pond", controller.AddonRequest{Plan: "quick"})

	first, second := f.Hold(), f.Hold()
	if _, err := f.DestroyApp(t.Context(), "garden"); err != nil {
		t.Fatal(err)
	}
	if _, err := f.DestroyAddon(t.Context(), other.Name, false); err != nil {
		t.Fatal(err)
	}
	first()
	first() // which is not the second
	if n := f.provider.count(); n != 2 || !exists(slug) {
		t.Errorf("while they are held: %d add-ons, the slug is there: %v", n, exists(slug))
	}
	second()
	await(t, "0 false", func() string { return fmt.Sprint(f.provider.count(), exists(slug)) })
	await(t, platform.Missing("add_on").Error(), func() string {
		_, err := f.Addon(t.Context(), other.Name)
		return fmt.Sprint(err)
	})
}
