package controller

import (
	"context"
	"errors"
	"fmt"

	"niwa/platform"
	"niwa/platform/store"
)

// EnableACM turns automatic certificate management on: each domain of the app
// that has no certificate is given one, and a new one in time
// (https://devcenter.heroku.com/articles/automated-certificate-management).
func (c *Controller) EnableACM(ctx context.Context, nameOrID string) (platform.App, error) {
	return c.changeACM(ctx, nameOrID, "Enable", func(tx *store.Tx, app platform.App) error {
		app.ACM, app.UpdatedAt = true, now()
		return errors.Join(tx.SaveApp(app), retryACM(tx, app.ID))
	})
}

// DisableACM turns it off, and removes the certificates that it got.
func (c *Controller) DisableACM(ctx context.Context, nameOrID string) (platform.App, error) {
	return c.changeACM(ctx, nameOrID, "Disable", func(tx *store.Tx, app platform.App) error {
		return leaveACM(tx, app, nil)
	})
}

// RefreshACM has it try again at once where it failed.
func (c *Controller) RefreshACM(ctx context.Context, nameOrID string) (platform.App, error) {
	return c.changeACM(ctx, nameOrID, "Refresh", func(tx *store.Tx, app platform.App) error {
		if !app.ACM {
			return platform.Invalid("Automated Certificate Management is not enabled for app %s; \"heroku certs:auto:enable\" does that.", app.Name)
		}
		return retryACM(tx, app.ID)
	})
}

func (c *Controller) changeACM(ctx context.Context, nameOrID, verb string, change func(*store.Tx, platform.App) error) (app platform.App, err error) {
	err = c.Store.Update(ctx, func(tx *store.Tx) error {
		if app, err = tx.App(nameOrID); err != nil {
			return err
		}
		if err := change(tx, app); err != nil {
			return err
		}
		app, err = tx.App(app.ID)
		return err
	})
	if err != nil {
		return platform.App{}, err
	}
	c.apiLog(app.ID, fmt.Sprintf("%s ACM by user %s", verb, c.email(ctx)))
	c.tend()
	return app, c.publishCerts(ctx)
}

// leaveACM ends automatic management. The domains that heir is for, if there is
// one, are served with it; the others have no certificate any more.
func leaveACM(tx *store.Tx, app platform.App, heir *platform.SNIEndpoint) error {
	app.ACM, app.UpdatedAt = false, now()
	if err := tx.SaveApp(app); err != nil {
		return err
	}
	endpoints, err := tx.SNIEndpoints(app.ID)
	if err != nil {
		return err
	}
	managed := map[string]bool{}
	for _, e := range endpoints {
		managed[e.ID] = e.ACM
	}
	domains, err := tx.Domains(app.ID)
	if err != nil {
		return err
	}
	for _, d := range domains {
		d = unmanaged(d)
		if d.SNIEndpointID != nil && managed[*d.SNIEndpointID] {
			d.SNIEndpointID = nil
		}
		if d.SNIEndpointID == nil && heir != nil && covers(*heir, d.Hostname) {
			d.SNIEndpointID = &heir.ID
		}
		if err := tx.SaveDomain(d); err != nil {
			return err
		}
	}
	return dropUnused(tx, app.ID)
}

// unmanaged is a domain that automatic management has nothing to say of.
func unmanaged(d platform.Domain) platform.Domain {
	d.ACMStatus, d.ACMStatusReason, d.ACMAttempts, d.ACMRetryAt, d.UpdatedAt = nil, nil, 0, nil, now()
	return d
}

// retryACM forgets the failures of an app's domains.
func retryACM(tx *store.Tx, appID string) error {
	domains, err := tx.Domains(appID)
	if err != nil {
		return err
	}
	for _, d := range domains {
		if d.ACMAttempts > 0 {
			if err := tx.SaveDomain(unmanaged(d)); err != nil {
				return err
			}
		}
	}
	return nil
}
