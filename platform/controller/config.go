package controller

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"niwa/platform"
	"niwa/platform/store"
)

// maxConfigBytes is Heroku's limit on all of an app's config vars together.
const maxConfigBytes = 64 << 10

// ConfigVars returns what an app's next dyno will be given: the vars set on
// the app and those of the add-ons attached to it.
func (c *Controller) ConfigVars(ctx context.Context, nameOrID string) (config platform.Config, err error) {
	err = c.Store.View(ctx, func(tx *store.Tx) error {
		app, err := tx.App(nameOrID)
		if err != nil {
			return err
		}
		own, err := ownConfig(tx, app.ID)
		if err != nil {
			return err
		}
		config, err = withAddons(tx, app.ID, own)
		return err
	})
	return config, err
}

// ReleaseConfigVars returns the config vars of a release. Those of add-ons are
// as they are today: a rotated credential has no past.
func (c *Controller) ReleaseConfigVars(ctx context.Context, nameOrID, release string) (config platform.Config, err error) {
	err = c.Store.View(ctx, func(tx *store.Tx) error {
		app, err := tx.App(nameOrID)
		if err != nil {
			return err
		}
		r, err := tx.Release(app.ID, release)
		if err != nil {
			return err
		}
		own, err := tx.ReleaseConfig(r)
		if err != nil {
			return err
		}
		config, err = withAddons(tx, app.ID, own)
		return err
	})
	return config, err
}

// SetConfigVars sets vars, or removes those whose value is nil, and makes a
// release. It returns all of the app's config vars.
func (c *Controller) SetConfigVars(ctx context.Context, nameOrID string, vars map[string]*string) (config platform.Config, err error) {
	var app platform.App
	var made *platform.Release
	err = c.Store.Update(ctx, func(tx *store.Tx) error {
		if app, err = tx.App(nameOrID); err != nil {
			return err
		}
		own, err := ownConfig(tx, app.ID)
		if err != nil {
			return err
		}
		next, err := edited(tx, app.ID, own, vars)
		if err != nil {
			return err
		}
		if !maps.Equal(own, next) {
			var r platform.Release
			if app, r, err = c.release(tx, app, change{description: describe(vars), config: next}); err != nil {
				return err
			}
			made = &r
		}
		config, err = withAddons(tx, app.ID, next)
		return err
	})
	if err == nil && made != nil {
		c.released(ctx, app, *made)
	}
	return config, err
}

func edited(tx *store.Tx, appID string, own platform.Config, vars map[string]*string) (platform.Config, error) {
	of, err := withAddons(tx, appID, nil)
	if err != nil {
		return nil, err
	}
	next := maps.Clone(own)
	for name, value := range vars {
		if err := checkVar(name, value); err != nil {
			return nil, err
		}
		if _, ok := of[name]; ok {
			return nil, platform.Invalid("Cannot overwrite attachment values %s.", name)
		}
		if value == nil {
			delete(next, name)
		} else {
			next[name] = *value
		}
	}
	size := 0
	for name, value := range next {
		size += len(name) + len(value)
	}
	if size > maxConfigBytes {
		return nil, platform.Invalid("Config vars may take up 64 KB together; these would take %d bytes.", size)
	}
	return next, nil
}

func checkVar(name string, value *string) error {
	switch {
	case name == "" || len(name) > 512 || strings.ContainsAny(name, "=\x00\n\r"):
		return platform.Invalid("Config var names must be 1 to 512 characters long and must not contain an equals sign, a line break or a zero byte.")
	case !utf8.ValidString(name):
		return platform.Invalid("Config var names must be valid UTF-8.")
	case value != nil && strings.ContainsRune(*value, 0):
		return platform.Invalid("The value of %s contains a zero byte, which no environment can hold.", name)
	}
	return nil
}

// describe words a release as Heroku does: "Set A, B config vars".
func describe(vars map[string]*string) string {
	var set, removed []string
	for _, name := range slices.Sorted(maps.Keys(vars)) {
		if vars[name] == nil {
			removed = append(removed, name)
		} else {
			set = append(set, name)
		}
	}
	var parts []string
	if len(set) > 0 {
		parts = append(parts, "Set "+strings.Join(set, ", "))
	}
	if len(removed) > 0 {
		parts = append(parts, "Remove "+strings.Join(removed, ", "))
	}
	return strings.Join(parts, " and ") + " config vars"
}

// ownConfig returns the vars set on the app itself: those of its newest
// release.
func ownConfig(tx *store.Tx, appID string) (platform.Config, error) {
	latest, err := tx.LatestRelease(appID)
	if missing(err) {
		return platform.Config{}, nil
	}
	if err != nil {
		return nil, err
	}
	return tx.ReleaseConfig(latest)
}

// withAddons adds the config vars of the add-ons attached to an app.
func withAddons(tx *store.Tx, appID string, own platform.Config) (platform.Config, error) {
	config := platform.Config{}
	maps.Copy(config, own)
	attachments, err := tx.AttachmentsIn(appID)
	if err != nil {
		return nil, err
	}
	for _, a := range attachments {
		vars, err := attachedVars(tx, a)
		if err != nil {
			return nil, err
		}
		maps.Copy(config, vars)
	}
	return config, nil
}

// attachedVars returns the config vars that an attachment brings; none while
// its add-on is being provisioned.
func attachedVars(tx *store.Tx, a platform.Attachment) (platform.Config, error) {
	credential, err := tx.Credential(a.AddonID, credentialOf(a))
	if missing(err) {
		return nil, nil
	}
	vars := platform.Config{}
	for name, value := range credential {
		vars[fmt.Sprintf("%s_%s", a.Name, name)] = value
	}
	return vars, err
}
