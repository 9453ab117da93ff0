//go:build linux

package chaos

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"strings"
)

// observation is what the platform shows of itself.
type observation struct {
	apps   map[string]*seenApp
	addons map[string]*seenAddon
	busy   []string // what has not come to an end
}

type seenApp struct {
	id          string
	config      map[string]string // with what add-ons bring
	formation   map[string]int
	releases    []seenRelease
	attachments map[string]string
	dynos       []seenDyno
	builds      []string // ids
}

type seenRelease struct {
	ID, Description, Status string
	Version                 int
	Slug                    *struct{ ID string }
	commit                  string
}

type seenDyno struct {
	ID, Name, Type, State string
	Release               struct{ Version int }
}

// formation says whether a dyno is one of those that are always to run.
func (d seenDyno) formation() bool { return d.Type == "web" || d.Type == "worker" }

type seenAddon struct {
	id, service, app, state string
	rows                    []string
	roles                   []string // in Postgres
	database                string
}

type ref struct{ ID, Name string }

// observe asks for all there is. An error says that the platform, or a data
// server of an add-on, does not answer.
func observe(ctx context.Context, a *api, commits map[string]string) (*observation, error) {
	o := &observation{apps: map[string]*seenApp{}, addons: map[string]*seenAddon{}}
	var apps []ref
	if err := a.call(ctx, "GET", "/apps", nil, &apps); err != nil {
		return nil, err
	}
	for _, app := range apps {
		seen, err := o.app(ctx, a, app, commits)
		if err != nil {
			return nil, err
		}
		o.apps[app.Name] = seen
	}
	var addons []struct {
		ID, Name, State string
		App             ref
		AddonService    ref `json:"addon_service"`
	}
	if err := a.call(ctx, "GET", "/addons", nil, &addons); err != nil {
		return nil, err
	}
	var errs []error
	for _, addon := range addons {
		seen := &seenAddon{id: addon.ID, service: addon.AddonService.Name, app: addon.App.Name, state: addon.State}
		o.addons[addon.Name] = seen
		if addon.State != "provisioned" {
			o.busy = append(o.busy, fmt.Sprintf("%s is %s", addon.Name, addon.State))
			continue
		}
		errs = append(errs, o.addon(ctx, a, addon.Name, seen))
	}
	return o, errors.Join(errs...)
}

func (o *observation) app(ctx context.Context, a *api, app ref, commits map[string]string) (*seenApp, error) {
	seen := &seenApp{id: app.ID, formation: map[string]int{}, attachments: map[string]string{}}
	var formation []struct {
		Type     string
		Quantity int
	}
	var attachments []struct {
		Name  string
		Addon ref
	}
	var builds []struct{ ID, Status string }
	path := "/apps/" + app.ID
	err := errors.Join(
		a.call(ctx, "GET", path+"/config-vars", nil, &seen.config),
		a.call(ctx, "GET", path+"/formation", nil, &formation),
		a.call(ctx, "GET", path+"/releases", nil, &seen.releases),
		a.call(ctx, "GET", path+"/addon-attachments", nil, &attachments),
		a.call(ctx, "GET", path+"/dynos", nil, &seen.dynos),
		a.call(ctx, "GET", path+"/builds", nil, &builds))
	if err != nil {
		return nil, err
	}
	for _, f := range formation {
		if f.Type != "release" { // nobody scales it
			seen.formation[f.Type] = f.Quantity
		}
	}
	for _, t := range attachments {
		seen.attachments[t.Name] = t.Addon.Name
	}
	for _, b := range builds {
		seen.builds = append(seen.builds, b.ID)
		if b.Status == "pending" {
			o.busy = append(o.busy, "a build of "+app.Name)
		}
	}
	sort.Slice(seen.releases, func(i, j int) bool { return seen.releases[i].Version < seen.releases[j].Version })
	for i := range seen.releases {
		r := &seen.releases[i]
		if r.Status == "pending" {
			o.busy = append(o.busy, fmt.Sprintf("release v%d of %s", r.Version, app.Name))
		}
		if r.Slug == nil {
			continue
		}
		if commits[r.Slug.ID] == "" {
			var slug struct{ Commit string }
			if err := a.call(ctx, "GET", path+"/slugs/"+r.Slug.ID, nil, &slug); err != nil {
				return nil, err
			}
			commits[r.Slug.ID] = slug.Commit
		}
		r.commit = commits[r.Slug.ID]
	}
	return seen, nil
}

// addon looks into an add-on with each config var that leads to it.
func (o *observation) addon(ctx context.Context, a *api, name string, seen *seenAddon) error {
	for _, appName := range sortedKeys(o.apps) {
		app := o.apps[appName]
		for _, attachment := range sortedKeys(app.attachments) {
			if app.attachments[attachment] != name {
				continue
			}
			url := app.config[attachment+"_URL"]
			if url == "" {
				return fmt.Errorf("%s_URL of %s is not set", attachment, appName)
			}
			found, err := rows(ctx, url)
			if err != nil {
				return fmt.Errorf("%s_URL of %s leads nowhere: %w", attachment, appName, err)
			}
			seen.rows = found
			seen.database = url[strings.LastIndexByte(url, '/')+1:]
		}
	}
	if seen.service != "heroku-postgresql" {
		return nil
	}
	var credentials []struct{ Credentials []struct{ User string } }
	if err := a.call(ctx, "GET", "/postgres/v0/databases/"+name+"/credentials", nil, &credentials); err != nil {
		return err
	}
	for _, c := range credentials {
		for _, login := range c.Credentials {
			seen.roles = append(seen.roles, login.User)
		}
	}
	return nil
}

// history tells what the latest releases of a tenant's apps were made for.
func (o *observation) history(prefix string) string {
	var b strings.Builder
	for _, name := range sortedKeys(o.apps) {
		for i, r := range o.apps[name].releases {
			if strings.HasPrefix(name, prefix) && i >= len(o.apps[name].releases)-4 {
				fmt.Fprintf(&b, "%s v%d, %s: %s\n", name, r.Version, r.Status, r.Description)
			}
		}
	}
	return b.String()
}

// view is what is seen of one tenant, whose names begin with the prefix.
func (o *observation) view(prefix string) view {
	v := view{map[string]appView{}, map[string]string{}}
	for name, a := range o.apps {
		if !strings.HasPrefix(name, prefix) {
			continue
		}
		seen := appView{Config: map[string]string{}, Formation: a.formation, Attachments: a.attachments}
		for _, r := range a.releases {
			seen.Releases = append(seen.Releases, releaseView(r.Version, r.Status, r.commit))
		}
		for name, value := range a.config {
			if attachment, ok := strings.CutSuffix(name, "_URL"); !ok || a.attachments[attachment] == "" {
				seen.Config[name] = value
			}
		}
		v.Apps[name] = seen
	}
	for name, a := range o.addons {
		if strings.HasPrefix(name, prefix) {
			v.Addons[name] = addonView(a.service, a.app, a.state, a.rows)
		}
	}
	return v
}
