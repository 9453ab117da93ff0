package controller_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"niwa/platform"
	"niwa/platform/store"
)

// age makes every release of an app older by days, but for the newest n.
func (f *fixture) age(t *testing.T, appID string, days, n int) {
	t.Helper()
	err := f.store.Update(t.Context(), func(tx *store.Tx) error {
		all, err := tx.Releases(appID)
		if err != nil {
			return err
		}
		for _, r := range all[:max(0, len(all)-n)] {
			r.CreatedAt = r.CreatedAt.AddDate(0, 0, -days)
			if err := tx.SaveRelease(r); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestReleasesExpireWhenTheyAreOldAndManyCameAfterThem(t *testing.T) {
	for name, c := range map[string]struct {
		deploys, days, newest int // so many deploys, all but the newest so many days old
		expired               int // deploys that can no longer be gone back to
	}{
		"many in a month":             {30, 29, 0, 0},
		"few over years":              {20, 1000, 0, 0},
		"many, the first of them old": {25, 31, 5, 5},
		"many, all of them old":       {25, 31, 0, 5},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			app := f.app(t, "garden")
			var slugs []string
			for range c.deploys {
				r := f.deploy(t, app, map[string]string{})
				slugs = append(slugs, *r.SlugID)
				file := filepath.Join(f.dir, "slugs", *r.SlugID+".tgz")
				if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(file, nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			f.age(t, app.ID, c.days, c.newest)
			f.shut()
			f = open(t, f.dir)
			if err := f.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			for i, slug := range slugs {
				r, err := f.Release(t.Context(), "garden", fmt.Sprint("v", i+2))
				if err != nil {
					t.Fatal(err)
				}
				gone := i < c.expired
				if (r.Status == platform.Expired) != gone || exists(filepath.Join(f.dir, "slugs", slug+".tgz")) == gone {
					t.Errorf("v%d is %s, and its slug is there: %v", i+2, r.Status, exists(filepath.Join(f.dir, "slugs", slug+".tgz")))
				}
			}
			if c.expired > 0 {
				_, err := f.Rollback(t.Context(), "garden", "v2")
				if refused(t, err, platform.InvalidParams); !strings.Contains(err.Error(), "expired") {
					t.Errorf("got %v", err)
				}
			}
		})
	}
}

func TestASlugThatIsStillOfUseOutlivesItsFirstRelease(t *testing.T) {
	f := newFixture(t)
	app := f.app(t, "garden")
	r := f.deploy(t, app, map[string]string{})
	for i := range 30 { // each of them runs the slug of v2
		if _, err := f.SetConfigVars(t.Context(), "garden", map[string]*string{"N": ptr(fmt.Sprint(i))}); err != nil {
			t.Fatal(err)
		}
	}
	f.age(t, app.ID, 365, 0)
	f.shut()
	f = open(t, f.dir)
	if err := f.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Slug(t.Context(), "garden", *r.SlugID); err != nil {
		t.Errorf("the slug of the current release: %v", err)
	}
	if r, err := f.Rollback(t.Context(), "garden", "v2"); err != nil || r.SlugID == nil {
		t.Errorf("going back to its first release: %v", err)
	}
}

func TestWhatAKilledBuildWasWritingIsSwept(t *testing.T) {
	f := newFixture(t)
	file := filepath.Join(f.dir, "slugs", ".0190f5a0-0000-7000-8000-000000000001.tgz123456789")
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("half a slug"), 0o600); err != nil {
		t.Fatal(err)
	}
	f.shut()
	if err := open(t, f.dir).Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if exists(file) {
		t.Error("it is still there")
	}
}
