package store_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"niwa/platform"
	"niwa/platform/store"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 123000, time.UTC)

func open(t *testing.T, path string, key byte) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), path, bytes.Repeat([]byte{key}, 32))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func update(t *testing.T, s *store.Store, f func(*store.Tx) error) {
	t.Helper()
	if err := s.Update(t.Context(), f); err != nil {
		t.Fatal(err)
	}
}

func app(id, name string, uid int) platform.App {
	return platform.App{ID: id, Name: name, Stack: "heroku-24", BuildStack: "heroku-24", UID: uid, CreatedAt: noon, UpdatedAt: noon}
}

func TestEveryNounComesBackAsItWasPut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "niwa.db")
	s := open(t, path, 1)
	commit, size, at, ns := "abc", int64(12), noon.Add(time.Hour), "credential:readonly"
	a := app("a-id", "garden", 20000)
	a.SlugSize, a.ReleasedAt, a.Restarts = &size, &at, map[string]time.Time{"web": noon}
	slug := platform.Slug{ID: "s-id", AppID: a.ID, Stack: "heroku-24", Commit: &commit, Checksum: "SHA256:00", Size: 9, ProcessTypes: map[string]string{"web": "bin/app"}, Images: map[string]platform.Image{"web": {ID: "sha256:00", Command: "bin/app"}}, CreatedAt: noon, UpdatedAt: noon}
	release := platform.Release{ID: "r-id", AppID: a.ID, Version: 1, SlugID: &slug.ID, Status: platform.Succeeded, Description: "Initial release", AddonPlanNames: []string{"x:y"}, CreatedAt: noon, UpdatedAt: noon}
	addon := platform.Addon{ID: "d-id", AppID: a.ID, Name: "postgresql-curved-1", Service: "heroku-postgresql", Plan: "heroku-postgresql:essential-0", State: platform.AddonProvisioned, Options: map[string]string{"version": "15"}, Rotating: []string{"default"}, CreatedAt: noon, UpdatedAt: noon}
	attachment := platform.Attachment{ID: "t-id", AddonID: addon.ID, AppID: a.ID, Name: "DATABASE", Namespace: &ns, CreatedAt: noon, UpdatedAt: noon}
	update(t, s, func(tx *store.Tx) error {
		return errors.Join(tx.InsertApp(a), tx.InsertSlug(slug), tx.InsertRelease(release, platform.Config{"A": "1"}),
			tx.InsertAddon(addon), tx.PutCredential(addon.ID, "default", platform.Config{"URL": "postgres://x"}),
			tx.InsertAttachment(attachment))
	})
	s.Close()
	s = open(t, path, 1)

	var got []any
	update(t, s, func(tx *store.Tx) error {
		ga, err1 := tx.App("garden")
		gs, err2 := tx.Slug(a.ID, slug.ID)
		gr, err3 := tx.Release(a.ID, "v1")
		gc, err4 := tx.ReleaseConfig(gr)
		gd, err5 := tx.Addon(addon.ID)
		gp, err6 := tx.Credential(addon.ID, "default")
		gt, err7 := tx.AttachmentNamed(a.ID, "DATABASE")
		got = []any{ga, gs, gr, gc, gd, gp, gt}
		return errors.Join(err1, err2, err3, err4, err5, err6, err7)
	})
	want := []any{a, slug, release, platform.Config{"A": "1"}, addon, platform.Config{"URL": "postgres://x"}, attachment}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestATakenNameIsRefusedAndNothingIsKept(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "niwa.db"), 1)
	update(t, s, func(tx *store.Tx) error { return tx.InsertApp(app("1", "garden", 1)) })
	err := s.Update(t.Context(), func(tx *store.Tx) error {
		if err := tx.InsertApp(app("2", "pond", 2)); err != nil {
			return err
		}
		return tx.InsertApp(app("3", "garden", 3))
	})
	var refused *platform.Error
	if !errors.As(err, &refused) || refused.ID != platform.InvalidParams || refused.Message != "Name garden is already taken" {
		t.Fatalf("got %v", err)
	}
	err = s.View(t.Context(), func(tx *store.Tx) error { _, err := tx.App("pond"); return err })
	if !errors.As(err, &refused) || refused.Resource != "app" {
		t.Fatalf("the app of the failed update is there, or the error is wrong: %v", err)
	}
}

func TestSecretsAreNotInTheFileAndNeedTheKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "niwa.db")
	s := open(t, path, 1)
	a := app("1", "garden", 1)
	r := platform.Release{ID: "r", AppID: "1", Version: 1, AddonPlanNames: []string{}, CreatedAt: noon, UpdatedAt: noon}
	update(t, s, func(tx *store.Tx) error {
		return errors.Join(tx.InsertApp(a), tx.InsertRelease(r, platform.Config{"SECRET": "hunter2-hunter2"}))
	})
	s.Close()
	for _, name := range []string{path, path + "-wal"} {
		if data, err := os.ReadFile(name); err == nil && bytes.Contains(data, []byte("hunter2")) {
			t.Errorf("%s holds the secret in clear text", filepath.Base(name))
		}
		if info, err := os.Stat(name); err == nil && info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", filepath.Base(name), info.Mode())
		}
	}
	s = open(t, path, 2)
	err := s.View(t.Context(), func(tx *store.Tx) error { _, err := tx.ReleaseConfig(r); return err })
	if err == nil {
		t.Error("another key opened the secret")
	}
}

func TestDeletingAnAppTakesWhatIsItsOwnButNotItsAddons(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "niwa.db"), 1)
	addon := platform.Addon{ID: "d", AppID: "1", Name: "db", State: platform.AddonProvisioned, Options: map[string]string{}, CreatedAt: noon, UpdatedAt: noon}
	r := platform.Release{ID: "r", AppID: "1", Version: 1, AddonPlanNames: []string{}, CreatedAt: noon, UpdatedAt: noon}
	update(t, s, func(tx *store.Tx) error {
		return errors.Join(tx.InsertApp(app("1", "garden", 1)), tx.InsertRelease(r, nil), tx.InsertAddon(addon),
			tx.InsertAttachment(platform.Attachment{ID: "t", AddonID: "d", AppID: "1", Name: "DB", CreatedAt: noon, UpdatedAt: noon}))
	})
	update(t, s, func(tx *store.Tx) error { return tx.DeleteApp("1") })
	update(t, s, func(tx *store.Tx) error {
		releases, err1 := tx.Releases("1")
		attachments, err2 := tx.Attachments()
		addons, err3 := tx.Addons()
		if len(releases) != 0 || len(attachments) != 0 || len(addons) != 1 {
			t.Errorf("left: %d releases, %d attachments, %d add-ons", len(releases), len(attachments), len(addons))
		}
		return errors.Join(err1, err2, err3)
	})
}
