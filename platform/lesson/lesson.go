// Package lesson deploys a sample app with its add-ons to a niwa that runs,
// through the API as any client would.
package lesson

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"niwa/platform"
	"niwa/platform/client"
)

// Lesson is one sample app on one niwa. Each step of it looks first at what is
// there, so that a second run changes nothing.
type Lesson struct {
	Client *client.Client
	Router string // URL
	Domain string
	Name   string // of the app
	Lang   string
	Source []byte    // of the app, a tar.gz
	Out    io.Writer // is told of each step
}

// Default is the language of the lesson's own app.
const Default = "go"

// Name is what the sample in a language is called. The lesson's own is users,
// and others are beside it.
func Name(lang string) string {
	if lang == Default {
		return "users"
	}
	return "users-" + lang
}

// readerCredential is attached as REDIS_READER: the read path of the app may
// look into the cache and write nothing.
const readerCredential = "readonly"

// Run does it all, and returns once the app answers.
func (l Lesson) Run(ctx context.Context) error {
	for _, step := range []func(context.Context) error{l.Create, l.Database, l.Cache, l.deploy, l.Up} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Create makes the app.
func (l Lesson) Create(ctx context.Context) error {
	_, err := l.Client.App(ctx, l.Name)
	if client.IsNotFound(err) {
		_, err = l.Client.CreateApp(ctx, l.Name)
		l.say("created the app %s", l.Name)
	}
	if err != nil {
		return fmt.Errorf("creating the app %s: %w", l.Name, err)
	}
	return nil
}

// Database gives the app its Postgres.
func (l Lesson) Database(ctx context.Context) error {
	_, err := l.addon(ctx, "heroku-postgresql", "essential-0")
	return err
}

// Cache gives the app its Redis, with a credential that can only read for the
// read path.
func (l Lesson) Cache(ctx context.Context) error {
	redis, err := l.addon(ctx, "heroku-redis", "mini")
	if err != nil {
		return err
	}
	if err := l.reader(ctx, redis); err != nil {
		return fmt.Errorf("attaching %s of %s: %w", readerCredential, redis.Name, err)
	}
	return nil
}

// addon returns the app's add-on of the service once it is provisioned.
func (l Lesson) addon(ctx context.Context, service, plan string) (client.Addon, error) {
	addon, err := l.existingAddon(ctx, service)
	if err == nil && addon.ID == "" {
		l.say("creating %s:%s", service, plan)
		addon, err = l.Client.CreateAddon(ctx, l.Name, service+":"+plan)
	}
	if err != nil {
		return client.Addon{}, fmt.Errorf("creating %s:%s: %w", service, plan, err)
	}
	progress := client.Ticker{Every: 5 * time.Second}
	err = client.Await(ctx, 5*time.Minute, func(waited time.Duration) (bool, error) {
		if addon.State == platform.AddonProvisioned {
			return true, nil
		}
		if progress.Due(waited) {
			l.say("waiting for %s to be provisioned (%s)", addon.Name, waited.Truncate(time.Second))
		}
		found, err := l.Client.Addon(ctx, addon.ID)
		if client.IsNotFound(err) || err == nil && found.State != platform.AddonProvisioned && found.State != platform.AddonProvisioning {
			return false, errors.New("it could not be provisioned; \"niwa heroku logs --app " + l.Name + "\" says why")
		}
		if err == nil {
			addon = found
		}
		return false, err
	})
	if err != nil {
		return client.Addon{}, fmt.Errorf("%s: %w", addon.Name, err)
	}
	return addon, nil
}

func (l Lesson) existingAddon(ctx context.Context, service string) (client.Addon, error) {
	addons, err := l.Client.Addons(ctx, l.Name)
	for _, a := range addons {
		if a.Service.Name == service && a.State != platform.AddonDeprovisioning && a.State != platform.AddonDeprovisioned {
			return a, nil
		}
	}
	return client.Addon{}, err
}

func (l Lesson) reader(ctx context.Context, redis client.Addon) error {
	const name = "REDIS_READER"
	attachments, err := l.Client.Attachments(ctx, l.Name)
	if err != nil {
		return err
	}
	for _, a := range attachments {
		if a.Name == name {
			return nil
		}
	}
	l.say("attaching %s as %s, with a credential that can only read", redis.Name, name)
	_, err = l.Client.Attach(ctx, l.Name, redis.Name, name, readerCredential)
	return err
}

// deploy builds the sample, unless that very source is deployed or under way.
func (l Lesson) deploy(ctx context.Context) error {
	// Looks like a commit, where one is expected.
	version := fmt.Sprintf("%x", sha256.Sum256(l.Source))[:40]
	build, ok, err := l.Client.LatestBuild(ctx, l.Name)
	if err != nil {
		return fmt.Errorf("looking for the last build of %s: %w", l.Name, err)
	}
	if ok && build.SourceBlob.Version == version {
		if _, err := l.built(ctx, build); err == nil {
			return nil
		}
	}
	r, err := l.Build(ctx, version)
	if err != nil {
		return err
	}
	return l.Replace(ctx, r)
}

// Build builds and releases the sample. The version is a name for its source.
func (l Lesson) Build(ctx context.Context, version string) (client.Release, error) {
	l.say("deploying sample-app/%s as %s", l.Lang, l.Name)
	build, err := l.Client.CreateBuild(ctx, l.Name, l.Source, version)
	if err != nil {
		return client.Release{}, fmt.Errorf("starting the build: %w", err)
	}
	if err := l.Client.Stream(ctx, build.OutputStreamURL, l.Out); err != nil {
		return client.Release{}, fmt.Errorf("following the build: %w", err)
	}
	return l.built(ctx, build)
}

// built waits for the build and the release that it makes.
func (l Lesson) built(ctx context.Context, build client.Build) (r client.Release, err error) {
	err = client.Await(ctx, 20*time.Minute, func(time.Duration) (bool, error) {
		b, err := l.Client.Build(ctx, l.Name, build.ID)
		if err != nil {
			return false, err
		}
		switch {
		case b.Status == platform.Failed:
			return false, errors.New("the build failed; its output is above")
		case b.Status != platform.Succeeded || b.Release == nil:
			return false, nil
		}
		r, err = l.Client.Release(ctx, l.Name, b.Release.ID)
		if err == nil && r.Status == platform.Failed {
			err = fmt.Errorf("release v%d failed; \"niwa heroku releases:output --app %s\" says why", r.Version, l.Name)
		}
		return r.Status == platform.Succeeded, err
	})
	return r, err
}

// Replace waits until no dyno is of a release before this one.
func (l Lesson) Replace(ctx context.Context, r client.Release) error {
	err := client.Await(ctx, 2*time.Minute, func(time.Duration) (bool, error) {
		dynos, err := l.Client.Dynos(ctx, l.Name)
		return !slices.ContainsFunc(dynos, func(d client.Dyno) bool { return d.Release.Version < r.Version }), err
	})
	if err != nil {
		return fmt.Errorf("waiting for the dynos of v%d: %w", r.Version, err)
	}
	return nil
}

// Up waits until the app answers.
func (l Lesson) Up(ctx context.Context) error {
	if err := l.dyno(ctx); err != nil {
		return err
	}
	return l.answer(ctx)
}

// dyno waits for a web dyno to be up.
func (l Lesson) dyno(ctx context.Context) error {
	state := "not there"
	progress := client.Ticker{Every: 5 * time.Second}
	err := client.Await(ctx, 2*time.Minute, func(waited time.Duration) (bool, error) {
		dynos, err := l.Client.Dynos(ctx, l.Name)
		if err != nil {
			return false, err
		}
		for _, d := range dynos {
			if d.Name == "web.1" {
				state = d.State
			}
		}
		if state == platform.DynoCrashed {
			return false, fmt.Errorf("web.1 crashed; \"niwa heroku logs --app %s\" says why", l.Name)
		}
		if state != platform.DynoUp && progress.Due(waited) {
			l.say("waiting for web.1, which is %s (%s)", state, waited.Truncate(time.Second))
		}
		return state == platform.DynoUp, nil
	})
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("web.1 is %s: %w; \"niwa heroku ps:scale web=1 --app %s\" starts it", state, err, l.Name)
	}
	return err
}

// answer asks the app, through the router, whether it is well.
func (l Lesson) answer(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, l.Router+"/health", nil)
	if err != nil {
		return err
	}
	req.Host = l.Name + "." + l.Domain
	resp, err := (&http.Client{Transport: &http.Transport{}, Timeout: 30 * time.Second}).Do(req)
	if err != nil {
		return fmt.Errorf("asking %s through the router: %w", l.Name, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers its health check with %s; \"niwa heroku logs --app %s\" says why", l.Name, resp.Status, l.Name)
	}
	return nil
}

func (l Lesson) say(format string, args ...any) { fmt.Fprintf(l.Out, "-----> "+format+"\n", args...) }
