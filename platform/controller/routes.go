package controller

import (
	"context"

	"niwa/platform"
	"niwa/platform/store"
	"niwa/router/route"
)

// publish gives the router what there is of an app. Calls come one after the
// other, each with what is true when its turn comes, so that an older picture
// never replaces a newer one.
func (c *Controller) publish(ctx context.Context, appID string) error {
	defer c.locks.lock("routes")()
	if err := c.ctx.Err(); err != nil {
		return err
	}
	var entry route.Entry
	gone := false
	err := c.Store.View(ctx, func(tx *store.Tx) error {
		app, err := tx.App(appID)
		if gone = missing(err); gone {
			return nil
		}
		if err == nil {
			entry, err = c.route(tx, app)
		}
		return err
	})
	if err != nil {
		return err
	}
	if gone {
		err = c.Routes.Remove(appID)
	} else {
		err = c.Routes.Set(entry)
	}
	// Routes that could not be saved are in use all the same.
	c.report("saving the routes", err)
	return nil
}

// publishAll gives the router all apps there are, and no other.
func (c *Controller) publishAll(ctx context.Context) error {
	defer c.locks.lock("routes")()
	if err := c.ctx.Err(); err != nil {
		return err
	}
	var entries []route.Entry
	err := c.Store.View(ctx, func(tx *store.Tx) error {
		apps, err := tx.Apps()
		if err != nil {
			return err
		}
		for _, app := range apps {
			e, err := c.route(tx, app)
			if err != nil { // one app's trouble is not the others'
				c.report("routing", err, "app", app.Name)
				continue
			}
			entries = append(entries, e)
		}
		return nil
	})
	if err != nil {
		return err
	}
	c.report("saving the routes", c.Routes.Replace(entries...))
	return nil
}

// rest ends publishing with a table in which no dyno is up, and waits for the
// requests that dynos have. Routers that run alone go on: what comes to them
// from now on waits for the next platform.
func (c *Controller) rest(ctx context.Context) {
	unlock := c.locks.lock("routes")
	addrs, err := c.Routes.Rest()
	c.report("saving the routes", err)
	unlock()
	if c.Drain == nil || len(addrs) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, drainTime)
	defer cancel()
	if err := c.Drain(ctx, addrs); err != nil {
		c.Log.Debug("stopping dynos that still serve requests", "error", err)
	}
}

func (c *Controller) route(tx *store.Tx, app platform.App) (route.Entry, error) {
	e := route.Entry{Hosts: []string{c.Host(app)}, App: route.App{ID: app.ID, Name: app.Name}}
	domains, err := tx.Domains(app.ID)
	if err != nil {
		return e, err
	}
	for _, d := range domains {
		e.Hosts = append(e.Hosts, d.Hostname)
	}
	current, err := tx.CurrentRelease(app.ID)
	if err != nil && !missing(err) {
		return e, err
	}
	config, err := tx.ReleaseConfig(current)
	if err != nil {
		return e, err
	}
	e.App.Routing = route.Routing(app.Routing)
	e.App.ErrorPageURL, e.App.MaintenancePageURL = config["ERROR_PAGE_URL"], config["MAINTENANCE_PAGE_URL"]
	formation, err := tx.Formation(app.ID)
	if err != nil {
		return e, err
	}
	webs := 0
	for _, f := range formation {
		if f.Type == "web" {
			webs = f.Quantity
		}
	}
	starting := true
	if cr, ok := c.present(app.ID); ok {
		e.App.Dynos, starting = cr.webs()
	}
	switch {
	case app.Maintenance:
		e.App.State = route.Maintenance
	case current.SlugID == nil:
		e.App.State = route.Blank
	case len(e.App.Dynos) > 0:
		e.App.State = route.Serving
	case webs == 0:
		e.App.State = route.NoDynos
	case starting:
		e.App.State = route.Starting
	default:
		e.App.State = route.Crashed
	}
	return e, nil
}

// webs lists the web dynos that are up, and says whether others may still
// come up: they are starting, or are yet to be started, as one that crashed
// for the first time is at once. One that ended while no platform ran has no
// address, and is about to be found out.
func (cr *crew) webs() (up []route.Dyno, starting bool) {
	cr.mu.Lock()
	defer cr.mu.Unlock()
	any := false
	for _, p := range cr.posts {
		switch {
		case p.worker == nil:
			web := p.ended.Type == "web"
			any, starting = any || web, starting || web && !p.cools()
		case p.worker.dyno.Type != "web":
		case p.worker.dyno.State == platform.DynoUp && p.worker.dyno.Addr != "":
			up = append(up, route.Dyno{Name: p.worker.dyno.Name, Addr: p.worker.dyno.Addr})
			any = true
		default:
			starting, any = true, true
		}
	}
	return up, starting || !any
}

// Host is where an app answers.
func (c *Controller) Host(app platform.App) string { return app.Name + "." + c.Domain }

// WebURL is the address of an app for people.
func (c *Controller) WebURL(app platform.App) string { return c.RouterURL(c.Host(app)) }
