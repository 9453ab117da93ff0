package controller

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"niwa/platform"
	"niwa/platform/store"
)

// releaseType is the process type that runs before a release takes over.
const releaseType = "release"

// change is what a new release changes; what is nil stays as it is.
type change struct {
	description string
	slug        *platform.Slug
	config      platform.Config
	// quiet leaves the release phase out: what an add-on does to its own
	// config vars is no reason to run it. While the phase of another release
	// runs, a quiet one waits for its end, to take the slug that then runs.
	quiet bool
}

// release makes the next release of an app. One with a release phase is
// pending until the app's crew has run it; any other is current at once.
// The caller tells released when the transaction is through.
func (c *Controller) release(tx *store.Tx, app platform.App, ch change) (platform.App, platform.Release, error) {
	r, base, err := nextRelease(tx, app)
	if err != nil {
		return app, r, err
	}
	r.Description = ch.description
	config := base
	if ch.config != nil {
		config = ch.config
	}
	slug := ch.slug
	if slug == nil && r.SlugID != nil {
		s, err := tx.Slug(app.ID, *r.SlugID)
		if err != nil {
			return app, r, err
		}
		slug = &s
	}
	r.Status = platform.Succeeded
	if ch.quiet {
		waits, err := phasePending(tx, app.ID)
		if err != nil {
			return app, r, err
		}
		if waits {
			r.Status = platform.Pending
		}
	}
	if slug != nil {
		r.SlugID = &slug.ID
		if slug.ProcessTypes[releaseType] != "" && !ch.quiet {
			r.Status, r.HasOutput = platform.Pending, true
			// Clients follow the output as soon as they know of the
			// release, which may be before its phase begins.
			c.outputs.open(r.ID)
		}
	}
	if err := tx.InsertRelease(r, config); err != nil {
		return app, r, err
	}
	if r.Status == platform.Succeeded {
		app, err = settleRelease(tx, app, r)
	}
	return app, r, err
}

func phasePending(tx *store.Tx, appID string) (bool, error) {
	all, err := tx.Releases(appID)
	return slices.ContainsFunc(all, func(r platform.Release) bool { return r.Status == platform.Pending }), err
}

// nextRelease drafts a release that changes nothing: the slug of the newest
// release that has not failed, the config of the newest of all.
func nextRelease(tx *store.Tx, app platform.App) (platform.Release, platform.Config, error) {
	r := platform.Release{ID: newID(), AppID: app.ID, Version: 1, AddonPlanNames: []string{}, CreatedAt: now(), UpdatedAt: now()}
	all, err := tx.Releases(app.ID)
	if err != nil || len(all) == 0 {
		return r, platform.Config{}, err
	}
	latest := all[len(all)-1]
	r.Version = latest.Version + 1
	for _, old := range slices.Backward(all) {
		if old.Status != platform.Failed {
			r.SlugID = old.SlugID
			break
		}
	}
	addons, err := tx.AddonsOf(app.ID)
	if err != nil {
		return r, nil, err
	}
	for _, a := range addons {
		if a.State != platform.AddonDeprovisioning {
			r.AddonPlanNames = append(r.AddonPlanNames, a.Plan)
		}
	}
	config, err := tx.ReleaseConfig(latest)
	return r, config, err
}

// settleRelease makes a release that succeeded the app's present: its slug's
// process types become the formation.
func settleRelease(tx *store.Tx, app platform.App, r platform.Release) (platform.App, error) {
	at := now()
	app.ReleasedAt, app.UpdatedAt = &at, at
	if r.SlugID != nil {
		slug, err := tx.Slug(app.ID, *r.SlugID)
		if err != nil {
			return app, err
		}
		app.SlugSize, app.Stack = &slug.Size, slug.Stack
		app.BuildpackProvidedDescription = slug.BuildpackProvidedDescription
		if err := syncFormation(tx, app.ID, slug); err != nil {
			return app, err
		}
	}
	return app, tx.SaveApp(app)
}

// released tells the log of a release and has the app's crew act on it.
func (c *Controller) released(ctx context.Context, app platform.App, r platform.Release) {
	email := c.email(ctx)
	by := " by user " + email
	if strings.HasSuffix(r.Description, ".") {
		by = "" // what an add-on did by itself
	}
	c.apiLog(app.ID, r.Description+by)
	c.apiLog(app.ID, fmt.Sprintf("Release v%d created by user %s", r.Version, email))
	c.crew(app.ID).kick()
}

// Releases lists an app's releases, oldest first.
func (c *Controller) Releases(ctx context.Context, nameOrID string) (all []platform.Release, err error) {
	err = c.Store.View(ctx, func(tx *store.Tx) error {
		app, err := tx.App(nameOrID)
		if err != nil {
			return err
		}
		if all, err = tx.Releases(app.ID); err != nil {
			return err
		}
		current := currentOf(all)
		for i := range all {
			mark(&all[i], current)
		}
		return nil
	})
	return all, err
}

// Release returns one release, by id or version.
func (c *Controller) Release(ctx context.Context, nameOrID, release string) (platform.Release, error) {
	all, err := c.Releases(ctx, nameOrID)
	if err != nil {
		return platform.Release{}, err
	}
	for _, r := range all {
		if v := fmt.Sprint(r.Version); r.ID == release || v == release || "v"+v == release {
			return r, nil
		}
	}
	return platform.Release{}, platform.Missing("release")
}

func currentOf(all []platform.Release) int {
	for _, r := range slices.Backward(all) {
		if r.Status == platform.Succeeded {
			return r.Version
		}
	}
	return 0
}

// mark works out what a release is among the others. One can go back to any
// that worked and has something to run. Where one is counts too: of those that
// are eligible, the official client's "heroku rollback" takes the second.
func mark(r *platform.Release, current int) {
	r.Current = r.Version == current
	r.EligibleForRollback = r.Status == platform.Succeeded && r.SlugID != nil
}

// Rollback makes a release with the slug and the config of an earlier one.
func (c *Controller) Rollback(ctx context.Context, nameOrID, release string) (r platform.Release, err error) {
	var app platform.App
	err = c.Store.Update(ctx, func(tx *store.Tx) error {
		if app, err = tx.App(nameOrID); err != nil {
			return err
		}
		to, err := tx.Release(app.ID, release)
		if err != nil {
			return err
		}
		if to.Status == platform.Expired {
			return platform.Invalid("Release v%d has expired: its slug is not kept any more. Push its commit again.", to.Version)
		}
		if to.Status != platform.Succeeded || to.SlugID == nil {
			return platform.Invalid("Release v%d cannot be rolled back to: it has no slug, or it did not succeed.", to.Version)
		}
		config, err := tx.ReleaseConfig(to)
		if err != nil {
			return err
		}
		slug, err := tx.Slug(app.ID, *to.SlugID)
		if err != nil {
			return err
		}
		app, r, err = c.release(tx, app, change{description: fmt.Sprintf("Rollback to v%d", to.Version), slug: &slug, config: config})
		return err
	})
	if err != nil {
		return r, err
	}
	c.released(ctx, app, r)
	return c.Release(ctx, app.ID, r.ID)
}

// ReleaseSlug makes a release of a slug that is there already.
func (c *Controller) ReleaseSlug(ctx context.Context, nameOrID, slugID, description string) (r platform.Release, err error) {
	var app platform.App
	err = c.Store.Update(ctx, func(tx *store.Tx) error {
		if app, err = tx.App(nameOrID); err != nil {
			return err
		}
		slug, err := tx.Slug(app.ID, slugID)
		if err != nil {
			return err
		}
		if description == "" {
			description = "Deploy"
		}
		app, r, err = c.release(tx, app, change{description: description, slug: &slug})
		return err
	})
	if err != nil {
		return r, err
	}
	c.released(ctx, app, r)
	return c.Release(ctx, app.ID, r.ID)
}

// Slug returns a slug of an app.
func (c *Controller) Slug(ctx context.Context, nameOrID, id string) (s platform.Slug, err error) {
	err = c.Store.View(ctx, func(tx *store.Tx) error {
		app, err := tx.App(nameOrID)
		if err != nil {
			return err
		}
		s, err = tx.Slug(app.ID, id)
		return err
	})
	return s, err
}

// Output streams what a build or a release phase prints: from its beginning,
// until it ends or ctx does.
func (c *Controller) Output(ctx context.Context, id string) (io.ReadCloser, error) {
	return c.outputs.follow(ctx, id)
}

// settleQuiet ends the wait of a quiet release: the phase before it has ended,
// and it runs what runs now.
func (c *Controller) settleQuiet(ctx context.Context, r platform.Release) error {
	return c.Store.Update(ctx, func(tx *store.Tx) error {
		app, err := tx.App(r.AppID)
		if err != nil {
			return err
		}
		current, err := tx.CurrentRelease(app.ID)
		if err != nil && !missing(err) {
			return err
		}
		r.SlugID, r.Status, r.UpdatedAt = current.SlugID, platform.Succeeded, now()
		if err := tx.SaveRelease(r); err != nil {
			return err
		}
		_, err = settleRelease(tx, app, r)
		return err
	})
}

// runPhase runs the release phase of a pending release and settles what
// becomes of it. It is run again from the start should niwa stop meanwhile.
func (c *Controller) runPhase(ctx context.Context, app platform.App, r platform.Release) {
	out := c.outputs.open(r.ID)
	defer func() { c.report("keeping the output of a release phase", out.close(), "app", app.Name) }()
	code, err := c.runReleaseDyno(ctx, app, r, out)
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		fmt.Fprintf(out, " !     %v\n", err)
	}
	ok := err == nil && code == 0
	err = c.Store.Update(ctx, func(tx *store.Tx) error {
		app, err := tx.App(app.ID)
		if err != nil {
			return err
		}
		r.Status, r.UpdatedAt = platform.Failed, now()
		if ok {
			r.Status = platform.Succeeded
		}
		if err := tx.SaveRelease(r); err != nil || !ok {
			return err
		}
		_, err = settleRelease(tx, app, r)
		return err
	})
	if missing(err) {
		return // the app was destroyed meanwhile
	}
	c.report("ending a release phase", err, "app", app.Name, "release", r.Version)
	if !ok {
		c.apiLog(app.ID, fmt.Sprintf("Release command failed: v%d was not released, the release before it keeps running", r.Version))
	}
}
