package controller

import (
	"context"
	"time"

	"niwa/platform"
	"niwa/platform/store"
)

// A release can be gone back to while it is among an app's newest, or is not
// old; then its slug goes and it is expired.
// Source: https://devcenter.heroku.com/changelog-items/3395
const (
	keptReleases = 20
	keptTime     = 30 * 24 * time.Hour
)

// expire removes the slugs that only releases of no more use have. Their files
// are then for sweep.
func (c *Controller) expire(ctx context.Context, at time.Time) error {
	return c.Store.Update(ctx, func(tx *store.Tx) error {
		apps, err := tx.Apps()
		if err != nil {
			return err
		}
		for _, app := range apps {
			if err := expireOf(tx, app.ID, at); err != nil {
				return err
			}
		}
		return nil
	})
}

func expireOf(tx *store.Tx, appID string, at time.Time) error {
	all, err := tx.Releases(appID)
	if err != nil {
		return err
	}
	current, kept := currentOf(all), map[string]bool{}
	for i, r := range all {
		if r.SlugID != nil && (r.Version == current || isKept(i, len(all), r.CreatedAt, at)) {
			kept[*r.SlugID] = true
		}
	}
	for _, r := range all {
		if r.SlugID == nil || kept[*r.SlugID] || r.Status == platform.Expired {
			continue
		}
		r.Status = platform.Expired
		if err := tx.SaveRelease(r); err != nil {
			return err
		}
		if err := tx.DeleteSlug(*r.SlugID); err != nil {
			return err
		}
	}
	return nil
}

// isKept says whether the i-th of n, the newest last, is among the newest or
// not old at a time.
func isKept(i, n int, created, at time.Time) bool {
	return i >= n-keptReleases || at.Sub(created) < keptTime
}

// sweepDaily removes what has become old while niwa runs.
func (c *Controller) sweepDaily(ctx context.Context) {
	day := time.NewTicker(24 * time.Hour)
	defer day.Stop()
	sweep := func(ctx context.Context) { c.report("removing what has become old", c.sweep(ctx)) }
	for {
		select {
		case <-day.C:
		case <-ctx.Done():
			return
		}
		if !c.hold.putOff(sweep) {
			sweep(ctx)
		}
	}
}
