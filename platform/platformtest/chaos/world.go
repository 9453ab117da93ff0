//go:build linux

package chaos

import (
	"fmt"
	"maps"
	"slices"
)

// world is what a tenant has been told is so. It speaks of things by names,
// which the tenant chooses, because an id may be lost with an answer.
type world struct {
	Apps   map[string]*app
	Addons map[string]*addon
}

type app struct {
	Repo        string // the tenant's own clone; it stays when the app is renamed
	Formation   map[string]int
	Releases    []release         // v1 and on
	Attachments map[string]string // to the names of add-ons
	Replaced    map[string]bool   // dynos that the last restart has done away with, by id
	Settled     int               // the releases up to this one are no longer pending
}

type release struct {
	Status string
	Commit string // of its slug; empty for none
	config map[string]string
}

type addon struct {
	Service string
	App     string // that owns it
	Home    string // the attachment that it came with
	Rows    map[string]bool
}

func newWorld() *world { return &world{map[string]*app{}, map[string]*addon{}} }

func (w *world) clone() *world {
	c := newWorld()
	for name, a := range w.Apps {
		b := *a
		b.Formation, b.Releases, b.Attachments = maps.Clone(a.Formation), slices.Clone(a.Releases), maps.Clone(a.Attachments)
		c.Apps[name] = &b
	}
	for name, a := range w.Addons {
		b := *a
		b.Rows = maps.Clone(a.Rows)
		c.Addons[name] = &b
	}
	return c
}

// config are the app's own config vars: those of its newest release.
func (a *app) config() map[string]string { return a.Releases[len(a.Releases)-1].config }

// commit is what the app runs, or will when its release phase has succeeded.
func (a *app) commit() string {
	for _, r := range slices.Backward(a.Releases) {
		if r.Status == "succeeded" {
			return r.Commit
		}
	}
	return ""
}

// release adds a release that succeeds, and that changes what it is given.
func (a *app) release(commit string, config map[string]string) {
	a.Releases = append(a.Releases, release{Status: "succeeded", Commit: commit, config: config})
	if commit != "" && len(a.Formation) == 0 {
		a.Formation = map[string]int{"web": 1, "worker": 0}
	}
}

// touch adds the release that an add-on brings.
func (a *app) touch() { a.release(a.commit(), a.config()) }

func (w *world) createApp(name, repo string) {
	a := &app{Repo: repo, Formation: map[string]int{}, Attachments: map[string]string{}}
	a.release("", map[string]string{})
	w.Apps[name] = a
}

func (w *world) destroyApp(name string) {
	for addon, a := range w.Addons {
		if a.App == name {
			w.destroyAddon(addon, name)
		}
	}
	delete(w.Apps, name)
}

func (w *world) renameApp(from, to string) {
	w.Apps[to] = w.Apps[from]
	delete(w.Apps, from)
	for _, a := range w.Addons {
		if a.App == from {
			a.App = to
		}
	}
}

// push releases a commit. One whose release phase fails leaves the app as it
// was, but for the version.
func (w *world) push(app, commit string, fails bool) {
	a := w.Apps[app]
	if fails {
		a.Releases = append(a.Releases, release{Status: "failed", Commit: commit, config: a.config()})
		return
	}
	a.release(commit, a.config())
}

// setConfig sets a config var, or with an empty value unsets it.
func (w *world) setConfig(app, name, value string) {
	a := w.Apps[app]
	config := maps.Clone(a.config())
	config[name] = value
	if value == "" {
		delete(config, name)
	}
	a.release(a.commit(), config)
}

func (w *world) rollback(app string, version int) {
	to := w.Apps[app].Releases[version-1]
	w.Apps[app].release(to.Commit, to.config)
}

func (w *world) createAddon(name, service, app, attachment string) {
	w.Addons[name] = &addon{Service: service, App: app, Home: attachment, Rows: map[string]bool{}}
	w.attach(name, app, attachment)
}

// destroyAddon takes an add-on out of every app, with a release in each but
// the one that is going itself.
func (w *world) destroyAddon(name, going string) {
	for _, app := range w.attached(name) {
		maps.DeleteFunc(w.Apps[app].Attachments, func(_, addon string) bool { return addon == name })
		if app != going {
			w.Apps[app].touch()
		}
	}
	delete(w.Addons, name)
}

func (w *world) attach(addon, app, attachment string) {
	w.Apps[app].Attachments[attachment] = addon
	w.Apps[app].touch()
}

func (w *world) detach(app, attachment string) {
	delete(w.Apps[app].Attachments, attachment)
	w.Apps[app].touch()
}

// rotate makes a release for each credential wherever the add-on is attached.
func (w *world) rotate(addon string, credentials int) {
	for _, app := range w.attached(addon) {
		for range credentials {
			w.Apps[app].touch()
		}
	}
}

// attached names the apps that an add-on is attached to.
func (w *world) attached(addon string) []string {
	var apps []string
	for _, name := range slices.Sorted(maps.Keys(w.Apps)) {
		if slices.Contains(slices.Collect(maps.Values(w.Apps[name].Attachments)), addon) {
			apps = append(apps, name)
		}
	}
	return apps
}

// view is a world as it can be seen from outside, for a diff that people read.
type view struct {
	Apps   map[string]appView
	Addons map[string]string
}

type appView struct {
	Config      map[string]string
	Formation   map[string]int
	Releases    []string
	Attachments map[string]string
}

func releaseView(version int, status, commit string) string {
	return fmt.Sprintf("v%d %s %.8s", version, status, commit)
}

func addonView(service, app, state string, rows []string) string {
	return fmt.Sprintf("%s of %s, %s, with %v", service, app, state, rows)
}

func (w *world) view() view {
	v := view{map[string]appView{}, map[string]string{}}
	for name, a := range w.Apps {
		seen := appView{Config: a.config(), Formation: a.Formation, Attachments: a.Attachments}
		for i, r := range a.Releases {
			seen.Releases = append(seen.Releases, releaseView(i+1, r.Status, r.Commit))
		}
		v.Apps[name] = seen
	}
	for name, a := range w.Addons {
		v.Addons[name] = addonView(a.Service, a.App, "provisioned", slices.Sorted(maps.Keys(a.Rows)))
	}
	return v
}
