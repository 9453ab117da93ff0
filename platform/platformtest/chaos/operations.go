//go:build linux

package chaos

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"
)

// operation is a kind of step.
type operation struct {
	name    string
	weight  int
	typical time.Duration // how long the platform is busy with it, answered or not
	plan    func(*tenant) (step, bool)
}

const ms = time.Millisecond

func operations() []operation {
	return []operation{
		{"create", 5, 100 * ms, createApp},
		{"push", 9, 1000 * ms, func(t *tenant) (step, bool) { return push(t, "") }},
		{"push, release phase", 5, 1500 * ms, func(t *tenant) (step, bool) { return push(t, "wait 200") }},
		{"push, phase fails", 2, 1500 * ms, func(t *tenant) (step, bool) { return push(t, "fail 200") }},
		{"config:set", 6, 300 * ms, setConfig},
		{"config:unset", 3, 300 * ms, unsetConfig},
		{"ps:scale", 6, 300 * ms, scale},
		{"ps:restart", 3, 300 * ms, restart},
		{"run:detached", 3, 300 * ms, runDetached},
		{"rollback", 4, 500 * ms, rollback},
		{"addons:create postgres", 4, 400 * ms, func(t *tenant) (step, bool) { return createAddon(t, "heroku-postgresql") }},
		{"addons:create redis", 4, 400 * ms, func(t *tenant) (step, bool) { return createAddon(t, "heroku-redis") }},
		{"addons:attach", 4, 200 * ms, attach},
		{"addons:detach", 3, 200 * ms, detach},
		{"addons:destroy", 4, 300 * ms, destroyAddon},
		{"credentials:rotate", 6, 200 * ms, rotate},
		{"write a row", 5, 50 * ms, write},
		{"rename", 2, 100 * ms, rename},
		{"destroy", 2, 500 * ms, destroyApp},
	}
}

func createApp(t *tenant) (step, bool) {
	name := t.fresh("app")
	return step{
		what: "create " + name,
		apps: []string{name},
		do: func(ctx context.Context) error {
			if err := t.api.call(ctx, "POST", "/apps", map[string]any{"name": name}, nil); err != nil {
				return err
			}
			// Otherwise each build asks all buildpacks, which a container each takes long.
			return t.api.call(ctx, "PUT", "/apps/"+name+"/buildpack-installations",
				map[string]any{"updates": []map[string]string{{"buildpack": "heroku/procfile"}}}, nil)
		},
		effect: func(w *world) { w.createApp(name, name) },
	}, len(t.known.Apps) < 2
}

// push deploys a new commit. phase is what the test app does as release phase.
func push(t *tenant, phase string) (step, bool) {
	name, ok := t.anyApp()
	if !ok {
		return step{}, false
	}
	a := t.known.Apps[name]
	content := t.fresh("content")
	commit, err := t.clones.commit(a.Repo, content, phase)
	if err != nil {
		panic(err) // the machine's own git, on a folder of ours
	}
	t.contents[commit] = content
	fails := len(phase) > 3 && phase[:4] == "fail"
	return step{
		what:   fmt.Sprintf("push %.8s to %s, release phase %q", commit, name, phase),
		apps:   []string{name},
		do:     func(ctx context.Context) error { return t.clones.push(ctx, t.api, a.Repo, name) },
		effect: func(w *world) { w.push(name, commit, fails) },
	}, true
}

func configVars() []string { return []string{"STONE", "MOSS", "WATER"} }

func patchConfig(t *tenant, app, name, value string) step {
	patch := map[string]*string{name: &value}
	if value == "" {
		patch[name] = nil
	}
	return step{
		what: fmt.Sprintf("config of %s: %s=%s", app, name, value),
		apps: []string{app},
		do: func(ctx context.Context) error {
			return t.api.call(ctx, "PATCH", "/apps/"+app+"/config-vars", patch, nil)
		},
		effect: func(w *world) { w.setConfig(app, name, value) },
	}
}

func setConfig(t *tenant) (step, bool) {
	app, ok := t.anyApp()
	if !ok {
		return step{}, false
	}
	return patchConfig(t, app, configVars()[t.rand.IntN(3)], t.fresh("value")), true
}

func unsetConfig(t *tenant) (step, bool) {
	app, ok := pick(t, t.known.Apps, func(_ string, a *app) bool { return len(a.config()) > 0 })
	if !ok {
		return step{}, false
	}
	name, _ := pick(t, t.known.Apps[app].config(), func(string, string) bool { return true })
	return patchConfig(t, app, name, ""), true
}

func scale(t *tenant) (step, bool) {
	app, ok := t.deployed()
	if !ok {
		return step{}, false
	}
	processType := []string{"web", "worker"}[t.rand.IntN(2)]
	quantity := t.rand.IntN(3)
	if processType == "web" && quantity == 0 && t.rand.IntN(2) > 0 {
		quantity = 1 // an app without web dynos shows little
	}
	return step{
		what: fmt.Sprintf("scale %s of %s to %d", processType, app, quantity),
		apps: []string{app},
		do: func(ctx context.Context) error {
			return t.api.call(ctx, "PATCH", "/apps/"+app+"/formation/"+processType, map[string]any{"quantity": quantity}, nil)
		},
		effect: func(w *world) { w.Apps[app].Formation[processType] = quantity },
	}, true
}

func restart(t *tenant) (step, bool) {
	app, ok := t.deployed()
	replaced := map[string]bool{}
	return step{
		what: "restart " + app,
		apps: []string{app},
		do: func(ctx context.Context) error {
			var dynos []seenDyno
			if err := t.api.call(ctx, "GET", "/apps/"+app+"/dynos", nil, &dynos); err != nil {
				return err
			}
			for _, d := range dynos {
				replaced[d.ID] = d.formation()
			}
			return t.api.call(ctx, "DELETE", "/apps/"+app+"/dynos", nil, nil)
		},
		effect: func(w *world) { w.Apps[app].Replaced = replaced },
	}, ok
}

func runDetached(t *tenant) (step, bool) {
	app, ok := t.deployed()
	return step{
		what: "run a one-off dyno of " + app,
		do: func(ctx context.Context) error {
			return t.api.call(ctx, "POST", "/apps/"+app+"/dynos", map[string]any{"command": "./app wait 500"}, nil)
		},
		effect: func(*world) {},
	}, ok
}

func rollback(t *tenant) (step, bool) {
	app, ok := t.deployed()
	if !ok {
		return step{}, false
	}
	var good []int
	for i, r := range t.known.Apps[app].Releases[:t.known.Apps[app].Settled] {
		if r.Status == "succeeded" && r.Commit != "" {
			good = append(good, i+1)
		}
	}
	if len(good) == 0 {
		return step{}, false
	}
	version := good[t.rand.IntN(len(good))]
	return step{
		what: fmt.Sprintf("roll %s back to v%d", app, version),
		apps: []string{app},
		do: func(ctx context.Context) error {
			return t.api.call(ctx, "POST", "/apps/"+app+"/releases", map[string]any{"release": fmt.Sprint("v", version)}, nil)
		},
		effect: func(w *world) { w.rollback(app, version) },
	}, true
}

// createAddon adds an add-on to an app, one of each service to a tenant.
func createAddon(t *tenant, service string) (step, bool) {
	app, ok := t.anyApp()
	_, has := pick(t, t.known.Addons, func(_ string, a *addon) bool { return a.Service == service })
	name := t.fresh("addon")
	attachment := map[string]string{"heroku-postgresql": "DATABASE", "heroku-redis": "REDIS"}[service]
	return step{
		what: fmt.Sprintf("add %s, a %s, to %s", name, service, app),
		apps: []string{app},
		do: func(ctx context.Context) error {
			return t.api.call(ctx, "POST", "/apps/"+app+"/addons", map[string]any{
				"plan": service, "name": name, "attachment": map[string]any{"name": attachment}}, nil)
		},
		effect: func(w *world) { w.createAddon(name, service, app, attachment) },
	}, ok && !has
}

func attach(t *tenant) (step, bool) {
	addon, ok := t.anyAddon()
	app, _ := t.anyApp()
	if !ok || len(t.known.Apps[app].Attachments) > 4 {
		return step{}, false
	}
	t.count++
	name := fmt.Sprintf("MIRROR_%d", t.count)
	return step{
		what: fmt.Sprintf("attach %s to %s as %s", addon, app, name),
		apps: []string{app},
		do: func(ctx context.Context) error {
			return t.api.call(ctx, "POST", "/addon-attachments", map[string]any{"addon": addon, "app": app, "name": name}, nil)
		},
		effect: func(w *world) { w.attach(addon, app, name) },
	}, true
}

// detach removes an attachment that its add-on can spare.
func detach(t *tenant) (step, bool) {
	spare := func(a *app) (string, bool) {
		return pick(t, a.Attachments, func(name, addon string) bool { return name != t.known.Addons[addon].Home })
	}
	app, ok := pick(t, t.known.Apps, func(_ string, a *app) bool { _, ok := spare(a); return ok })
	if !ok {
		return step{}, false
	}
	name, _ := spare(t.known.Apps[app])
	return step{
		what: fmt.Sprintf("detach %s from %s", name, app),
		apps: []string{app},
		do: func(ctx context.Context) error {
			var a struct{ ID string }
			if err := t.api.call(ctx, "GET", "/apps/"+app+"/addon-attachments/"+name, nil, &a); err != nil {
				return err
			}
			return t.api.call(ctx, "DELETE", "/addon-attachments/"+a.ID, nil, nil)
		},
		effect: func(w *world) { w.detach(app, name) },
	}, true
}

func destroyAddon(t *tenant) (step, bool) {
	name, ok := t.anyAddon()
	if !ok {
		return step{}, false
	}
	owner := t.known.Addons[name].App
	return step{
		what: "destroy " + name,
		apps: t.known.attached(name),
		do: func(ctx context.Context) error {
			return t.api.call(ctx, "DELETE", "/apps/"+owner+"/addons/"+name, map[string]any{"force": true}, nil)
		},
		effect: func(w *world) { w.destroyAddon(name, "") },
	}, true
}

func rotate(t *tenant) (step, bool) {
	name, ok := t.anyAddon()
	if !ok {
		return step{}, false
	}
	path, credentials := "/postgres/v0/databases/"+name+"/credentials/default/credentials_rotation", 1
	if t.known.Addons[name].Service == "heroku-redis" {
		path, credentials = "/redis/v0/databases/"+name+"/credentials_rotation", 2 // readonly comes with it
	}
	return step{
		what:   "rotate the credential of " + name,
		apps:   t.known.attached(name),
		do:     func(ctx context.Context) error { return t.api.call(ctx, "POST", path, nil, nil) },
		effect: func(w *world) { w.rotate(name, credentials) },
	}, true
}

// write writes a row, as an app would.
func write(t *tenant) (step, bool) {
	name, ok := pick(t, t.known.Addons, func(_ string, a *addon) bool { return len(a.Rows) < 30 })
	if !ok {
		return step{}, false
	}
	a, row := t.known.Addons[name], t.fresh("row")
	return step{
		what: fmt.Sprintf("write %s into %s", row, name),
		do: func(ctx context.Context) error {
			var config map[string]string
			if err := t.api.call(ctx, "GET", "/apps/"+a.App+"/config-vars", nil, &config); err != nil {
				return err
			}
			return addRow(ctx, config[a.Home+"_URL"], row)
		},
		effect: func(w *world) { w.Addons[name].Rows[row] = true },
	}, true
}

func rename(t *tenant) (step, bool) {
	from, ok := t.anyApp()
	to := t.fresh("app")
	return step{
		what: fmt.Sprintf("rename %s to %s", from, to),
		apps: []string{from, to},
		do: func(ctx context.Context) error {
			return t.api.call(ctx, "PATCH", "/apps/"+from, map[string]any{"name": to}, nil)
		},
		effect: func(w *world) { w.renameApp(from, to) },
	}, ok
}

func destroyApp(t *tenant) (step, bool) {
	name, ok := t.anyApp()
	return step{
		what:   "destroy " + name,
		apps:   slices.Collect(maps.Keys(t.known.Apps)), // its add-ons may be attached to all
		do:     func(ctx context.Context) error { return t.api.call(ctx, "DELETE", "/apps/"+name, nil, nil) },
		effect: func(w *world) { w.destroyApp(name) },
	}, ok
}
