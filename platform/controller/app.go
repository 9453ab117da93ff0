package controller

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"

	"niwa/platform"
	"niwa/platform/store"
)

// The Unix users that apps may be given when niwa is root: a range that
// Debian, Fedora and macOS leave to the administrator.
const (
	firstUID = 200_000
	lastUID  = 299_999
)

// appName is Heroku's rule: lower case, 3 to 30 characters.
var appName = regexp.MustCompile(`^[a-z][a-z0-9-]{1,28}[a-z0-9]$`)

const badAppName = "Name must start with a letter, end with a letter or digit and can only contain lowercase letters, digits, and dashes; it must be 3 to 30 characters long."

// AppUpdate says what to change; nil leaves it.
type AppUpdate struct {
	Name        *string
	Maintenance *bool
	BuildStack  *string
}

// CreateApp makes an app with its initial release. An empty name asks for a
// generated one.
func (c *Controller) CreateApp(ctx context.Context, name, stack string) (app platform.App, err error) {
	if name != "" && !appName.MatchString(name) {
		return app, platform.Invalid(badAppName)
	}
	if stack == "" {
		stack = platform.DefaultStack
	}
	if err := checkStack(stack); err != nil {
		return app, err
	}
	err = c.Store.Update(ctx, func(tx *store.Tx) error {
		if name == "" {
			if name, err = freeName(tx); err != nil {
				return err
			}
		}
		app = platform.App{ID: newID(), Name: name, Stack: stack, BuildStack: stack, CreatedAt: now(), UpdatedAt: now()}
		if app.UID, err = freeUID(tx); err != nil {
			return err
		}
		if err := tx.InsertApp(app); err != nil {
			return err
		}
		app, _, err = c.release(tx, app, change{description: "Initial release"})
		return err
	})
	if err != nil {
		return platform.App{}, err
	}
	c.apiLog(app.ID, fmt.Sprintf("Release v1 created by user %s", c.email(ctx)))
	c.crew(app.ID).kick()
	return app, nil
}

// Stacks lists what apps can be built for, the default first.
func Stacks() []string { return []string{platform.DefaultStack, platform.ContainerStack} }

func checkStack(name string) error {
	if !slices.Contains(Stacks(), name) {
		return platform.Invalid("Stack %q is not available; this niwa builds on %s.", name, strings.Join(Stacks(), " and "))
	}
	return nil
}

// Apps lists the apps by name.
func (c *Controller) Apps(ctx context.Context) (apps []platform.App, err error) {
	err = c.Store.View(ctx, func(tx *store.Tx) error {
		apps, err = tx.Apps()
		return err
	})
	return apps, err
}

// App returns an app by name or id.
func (c *Controller) App(ctx context.Context, nameOrID string) (platform.App, error) {
	return c.app(ctx, nameOrID)
}

// UpdateApp renames an app, turns its maintenance mode on or off, or sets the
// stack of its next build.
func (c *Controller) UpdateApp(ctx context.Context, nameOrID string, u AppUpdate) (app platform.App, err error) {
	if u.Name != nil && !appName.MatchString(*u.Name) {
		return app, platform.Invalid(badAppName)
	}
	if u.BuildStack != nil {
		if err := checkStack(*u.BuildStack); err != nil {
			return app, err
		}
	}
	err = c.Store.Update(ctx, func(tx *store.Tx) error {
		if app, err = tx.App(nameOrID); err != nil {
			return err
		}
		if u.Name != nil {
			app.Name = *u.Name
		}
		if u.Maintenance != nil {
			app.Maintenance = *u.Maintenance
		}
		if u.BuildStack != nil {
			app.BuildStack = *u.BuildStack
			if app.SlugSize == nil { // as on Heroku, an app that runs nothing needs no deploy for it
				app.Stack = app.BuildStack
			}
		}
		app.UpdatedAt = now()
		return tx.SaveApp(app)
	})
	if err != nil {
		return platform.App{}, err
	}
	return app, c.publish(ctx, app.ID)
}

// DestroyApp removes an app with all that is its own: dynos, slugs, logs,
// repository, cache and add-ons with their data. What takes time goes on after
// it returned, and is taken up again should niwa stop before it is done.
func (c *Controller) DestroyApp(ctx context.Context, nameOrID string) (app platform.App, err error) {
	var elsewhere []made // in apps that shared its add-ons
	err = c.Store.Update(ctx, func(tx *store.Tx) error {
		if app, err = tx.App(nameOrID); err != nil {
			return err
		}
		addons, err := tx.AddonsOf(app.ID)
		if err != nil {
			return err
		}
		elsewhere = nil
		for _, a := range addons {
			all, err := c.retire(tx, a, app.ID)
			if err != nil {
				return err
			}
			elsewhere = append(elsewhere, all...)
		}
		return tx.DeleteApp(app.ID)
	})
	if err != nil {
		return platform.App{}, err
	}
	c.disband(app.ID)
	c.allReleased(ctx, elsewhere)
	c.later(func(ctx context.Context) {
		c.report("destroying add-ons", c.settleAddons(ctx), "app", app.Name)
	})
	return app, errors.Join(c.publish(ctx, app.ID), c.publishCerts(ctx))
}

func (c *Controller) email(ctx context.Context) string {
	a, err := c.Account(ctx)
	if err != nil {
		c.report("reading the account", err)
		return "unknown"
	}
	return a.Email
}

// freeName generates a name as Heroku does: adjective, noun, five digits.
func freeName(tx *store.Tx) (string, error) {
	for {
		name := fmt.Sprintf("%s-%s-%05d", pick(adjectives), pick(nouns), rand.IntN(100_000))
		if _, err := tx.App(name); missing(err) {
			return name, nil
		} else if err != nil {
			return "", err
		}
	}
}

// freeUID picks a Unix user at random, so that a new app does not soon get
// the user of one that was destroyed and whose files may still be on their
// way out.
func freeUID(tx *store.Tx) (int, error) {
	apps, err := tx.Apps()
	if err != nil {
		return 0, err
	}
	used := map[int]bool{}
	for _, a := range apps {
		used[a.UID] = true
	}
	if len(used) > lastUID-firstUID {
		return 0, platform.Invalid("There are %d apps already; destroy one first.", len(used))
	}
	for {
		if uid := firstUID + rand.IntN(lastUID-firstUID+1); !used[uid] {
			return uid, nil
		}
	}
}
