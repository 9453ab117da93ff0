package cli

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"niwa/platform"
	"niwa/platform/client"
)

// lesson deploys the sample app with its add-ons, through the API as any
// client would. Each step looks first at what is there, so that a second run
// on the same data changes nothing.
type lesson struct {
	client *client.Client
	router string // URL
	domain string
	name   string // of the app
	lang   string
	source []byte // of the app, a tar.gz
	out    io.Writer
}

// lessonName is the name of the sample in a language: the lesson's own is
// users, and others are beside it.
func lessonName(lang string) string {
	if lang == lessonLang {
		return "users"
	}
	return "users-" + lang
}

const lessonLang = "go"

// readerCredential is attached as REDIS_READER: the read path of the app may
// look into the cache and write nothing.
const readerCredential = "readonly"

func (l lesson) run(ctx context.Context) error {
	if err := l.app(ctx); err != nil {
		return fmt.Errorf("creating the app %s: %w", l.name, err)
	}
	if _, err := l.addon(ctx, "heroku-postgresql", "essential-0"); err != nil {
		return err
	}
	redis, err := l.addon(ctx, "heroku-redis", "mini")
	if err != nil {
		return err
	}
	if err := l.reader(ctx, redis); err != nil {
		return fmt.Errorf("attaching %s of %s: %w", readerCredential, redis.Name, err)
	}
	if err := l.deploy(ctx); err != nil {
		return err
	}
	if err := l.dyno(ctx); err != nil {
		return err
	}
	return l.answer(ctx)
}

func (l lesson) app(ctx context.Context) error {
	_, err := l.client.App(ctx, l.name)
	if client.IsNotFound(err) {
		_, err = l.client.CreateApp(ctx, l.name)
		l.say("created the app %s", l.name)
	}
	return err
}

// addon returns the app's add-on of the service once it is provisioned.
func (l lesson) addon(ctx context.Context, service, plan string) (client.Addon, error) {
	addon, err := l.existingAddon(ctx, service)
	if err == nil && addon.ID == "" {
		l.say("creating %s:%s", service, plan)
		addon, err = l.client.CreateAddon(ctx, l.name, service+":"+plan)
	}
	if err != nil {
		return client.Addon{}, fmt.Errorf("creating %s:%s: %w", service, plan, err)
	}
	progress := ticker{every: 5 * time.Second}
	err = await(ctx, 5*time.Minute, func(waited time.Duration) (bool, error) {
		if addon.State == platform.AddonProvisioned {
			return true, nil
		}
		if progress.due(waited) {
			l.say("waiting for %s to be provisioned (%s)", addon.Name, waited.Truncate(time.Second))
		}
		found, err := l.client.Addon(ctx, addon.ID)
		if client.IsNotFound(err) || err == nil && found.State != platform.AddonProvisioned && found.State != platform.AddonProvisioning {
			return false, errors.New("it could not be provisioned; \"niwa heroku logs --app " + l.name + "\" says why")
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

func (l lesson) existingAddon(ctx context.Context, service string) (client.Addon, error) {
	addons, err := l.client.Addons(ctx, l.name)
	for _, a := range addons {
		if a.Service.Name == service && a.State != platform.AddonDeprovisioning && a.State != platform.AddonDeprovisioned {
			return a, nil
		}
	}
	return client.Addon{}, err
}

func (l lesson) reader(ctx context.Context, redis client.Addon) error {
	const name = "REDIS_READER"
	attachments, err := l.client.Attachments(ctx, l.name)
	if err != nil {
		return err
	}
	for _, a := range attachments {
		if a.Name == name {
			return nil
		}
	}
	l.say("attaching %s as %s, with a credential that can only read", redis.Name, name)
	_, err = l.client.Attach(ctx, l.name, redis.Name, name, readerCredential)
	return err
}

// deploy builds the sample, unless that very source is deployed or under way.
func (l lesson) deploy(ctx context.Context) error {
	// Looks like a commit, where one is expected.
	version := fmt.Sprintf("%x", sha256.Sum256(l.source))[:40]
	build, ok, err := l.client.LatestBuild(ctx, l.name)
	if err != nil {
		return fmt.Errorf("looking for the last build of %s: %w", l.name, err)
	}
	if ok && build.SourceBlob.Version == version {
		if l.built(ctx, build) == nil {
			return nil
		}
	}
	l.say("deploying sample-app/%s as %s", l.lang, l.name)
	if build, err = l.client.CreateBuild(ctx, l.name, l.source, version); err != nil {
		return fmt.Errorf("starting the build: %w", err)
	}
	if err := l.client.Stream(ctx, build.OutputStreamURL, l.out); err != nil {
		return fmt.Errorf("following the build: %w", err)
	}
	return l.built(ctx, build)
}

// built waits for the build and the release that it makes.
func (l lesson) built(ctx context.Context, build client.Build) error {
	return await(ctx, 20*time.Minute, func(time.Duration) (bool, error) {
		b, err := l.client.Build(ctx, l.name, build.ID)
		if err != nil {
			return false, err
		}
		switch {
		case b.Status == platform.Failed:
			return false, errors.New("the build failed; its output is above")
		case b.Status != platform.Succeeded || b.Release == nil:
			return false, nil
		}
		r, err := l.client.Release(ctx, l.name, b.Release.ID)
		if err == nil && r.Status == platform.Failed {
			err = fmt.Errorf("release v%d failed; \"niwa heroku releases:output --app %s\" says why", r.Version, l.name)
		}
		return r.Status == platform.Succeeded, err
	})
}

// dyno waits for a web dyno to be up.
func (l lesson) dyno(ctx context.Context) error {
	state := "not there"
	progress := ticker{every: 5 * time.Second}
	err := await(ctx, 2*time.Minute, func(waited time.Duration) (bool, error) {
		dynos, err := l.client.Dynos(ctx, l.name)
		if err != nil {
			return false, err
		}
		for _, d := range dynos {
			if d.Name == "web.1" {
				state = d.State
			}
		}
		if state == platform.DynoCrashed {
			return false, fmt.Errorf("web.1 crashed; \"niwa heroku logs --app %s\" says why", l.name)
		}
		if state != platform.DynoUp && progress.due(waited) {
			l.say("waiting for web.1, which is %s (%s)", state, waited.Truncate(time.Second))
		}
		return state == platform.DynoUp, nil
	})
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("web.1 is %s: %w; \"niwa heroku ps:scale web=1 --app %s\" starts it", state, err, l.name)
	}
	return err
}

// answer asks the app, through the router, whether it is well.
func (l lesson) answer(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, l.router+"/health", nil)
	if err != nil {
		return err
	}
	req.Host = l.name + "." + l.domain
	resp, err := (&http.Client{Transport: &http.Transport{}, Timeout: 30 * time.Second}).Do(req)
	if err != nil {
		return fmt.Errorf("asking %s through the router: %w", l.name, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers its health check with %s; \"niwa heroku logs --app %s\" says why", l.name, resp.Status, l.name)
	}
	return nil
}

func (l lesson) say(format string, args ...any) { fmt.Fprintf(l.out, "-----> "+format+"\n", args...) }
