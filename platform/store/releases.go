package store

import (
	"errors"

	"niwa/platform"
)

// Slug finds a slug of an app.
func (tx *Tx) Slug(appID, id string) (platform.Slug, error) {
	return one[platform.Slug](tx, "slug", "app_id = ? AND id = ?", appID, id)
}

// Slugs lists every slug there is.
func (tx *Tx) Slugs() ([]platform.Slug, error) {
	return many[platform.Slug](tx, "created_at, id", "1 = 1")
}

// InsertSlug adds a slug.
func (tx *Tx) InsertSlug(s platform.Slug) error { return tx.insert(&s, nil) }

// DeleteSlug removes a slug.
func (tx *Tx) DeleteSlug(id string) error { return drop[platform.Slug](tx, "id = ?", id) }

// Build finds a build of an app.
func (tx *Tx) Build(appID, id string) (platform.Build, error) {
	return one[platform.Build](tx, "build", "app_id = ? AND id = ?", appID, id)
}

// Builds lists an app's builds, oldest first.
func (tx *Tx) Builds(appID string) ([]platform.Build, error) {
	return many[platform.Build](tx, "created_at, id", "app_id = ?", appID)
}

// PendingBuilds lists the builds that have not ended, of any app.
func (tx *Tx) PendingBuilds() ([]platform.Build, error) {
	return many[platform.Build](tx, "created_at, id", "status = ?", platform.Pending)
}

// InsertBuild adds a build.
func (tx *Tx) InsertBuild(b platform.Build) error { return tx.insert(&b, nil) }

// SaveBuild writes back a build.
func (tx *Tx) SaveBuild(b platform.Build) error { return tx.save(&b, nil) }

// Release finds a release of an app by id or version, with or without a v.
func (tx *Tx) Release(appID, idOrVersion string) (platform.Release, error) {
	version := idOrVersion
	if len(version) > 1 && version[0] == 'v' {
		version = version[1:]
	}
	return one[platform.Release](tx, "release", "app_id = ? AND (id = ? OR CAST(version AS TEXT) = ?)", appID, idOrVersion, version)
}

// Releases lists an app's releases, oldest first.
func (tx *Tx) Releases(appID string) ([]platform.Release, error) {
	return many[platform.Release](tx, "version", "app_id = ?", appID)
}

// LatestRelease returns the newest release, whatever became of it.
func (tx *Tx) LatestRelease(appID string) (platform.Release, error) {
	return newest(tx, "app_id = ?", appID)
}

// CurrentRelease returns the release that runs: the newest that succeeded.
func (tx *Tx) CurrentRelease(appID string) (platform.Release, error) {
	return newest(tx, "app_id = ? AND status = ?", appID, platform.Succeeded)
}

func newest(tx *Tx, where string, args ...any) (platform.Release, error) {
	rows, err := many[platform.Release](tx, "version DESC LIMIT 1", where, args...)
	if err == nil && len(rows) == 0 {
		err = platform.Missing("release")
	}
	if err != nil {
		return platform.Release{}, err
	}
	return rows[0], nil
}

// InsertRelease adds a release and the config it runs with.
func (tx *Tx) InsertRelease(r platform.Release, config platform.Config) error {
	if err := tx.insert(&r, nil); err != nil {
		return err
	}
	return tx.putSecret(r.AppID, "release", r.ID, config)
}

// SaveRelease writes back a release.
func (tx *Tx) SaveRelease(r platform.Release) error { return tx.save(&r, nil) }

// ReleaseConfig returns the config vars that were set on the app itself when
// the release was made; those of its add-ons are not among them.
func (tx *Tx) ReleaseConfig(r platform.Release) (platform.Config, error) {
	config, err := tx.secret("release", r.ID)
	var missing *platform.Error
	if errors.As(err, &missing) {
		return platform.Config{}, nil
	}
	return config, err
}

// Formation lists an app's process types by name.
func (tx *Tx) Formation(appID string) ([]platform.Formation, error) {
	return many[platform.Formation](tx, "type", "app_id = ?", appID)
}

// InsertFormation adds a process type.
func (tx *Tx) InsertFormation(f platform.Formation) error { return tx.insert(&f, nil) }

// SaveFormation writes back a process type.
func (tx *Tx) SaveFormation(f platform.Formation) error { return tx.save(&f, nil) }

// DeleteFormation removes a process type.
func (tx *Tx) DeleteFormation(id string) error { return drop[platform.Formation](tx, "id = ?", id) }
