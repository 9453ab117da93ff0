package controller

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"niwa/platform"
	"niwa/platform/build"
	"niwa/platform/store"
)

// BuildRequest asks for a build of a source tarball.
type BuildRequest struct {
	SourceURL  string
	Version    string
	Checksum   string   // SHA256:hex of the tarball; empty for no check
	Buildpacks []string // empty for those of the app

	description string // of the commit
}

// ErrShown is wrapped by the error of a build whose output says why it failed.
var ErrShown = errors.New("the build failed")

// maxSource is the size of the largest source tarball that is fetched.
const maxSource = 1 << 30

// CreateBuild starts a build and returns it while it is pending.
func (c *Controller) CreateBuild(ctx context.Context, nameOrID string, req BuildRequest) (platform.Build, error) {
	if !strings.HasPrefix(req.SourceURL, "http://") && !strings.HasPrefix(req.SourceURL, "https://") {
		return platform.Build{}, platform.Invalid("source_blob.url must be an http or https URL of a gzipped tar.")
	}
	app, b, err := c.draftBuild(ctx, nameOrID, req)
	if err != nil {
		return b, err
	}
	c.later(func(ctx context.Context) {
		// What becomes of it is told by its status and its output.
		_, _ = c.runBuild(ctx, app, b, nil, func(ctx context.Context, w io.Writer) error { return fetch(ctx, req, w) })
	})
	return b, nil
}

// PushRequest is what came in with a git push.
type PushRequest struct {
	AppID       string
	Commit      string
	Description string                                 // the subject of the commit
	Source      func(context.Context, io.Writer) error // writes the source as a tar
	RepoSize    func() int64                           // bytes of the repository, when the push is through
}

// Push builds and releases what was pushed, and waits for its release phase.
// out is what the pusher sees.
func (c *Controller) Push(ctx context.Context, push PushRequest, out io.Writer) error {
	app, b, err := c.draftBuild(ctx, push.AppID, BuildRequest{Version: push.Commit, description: push.Description})
	if err != nil {
		return err
	}
	r, err := c.runBuild(ctx, app, b, out, push.Source)
	if err != nil {
		return err
	}
	if err := c.noteRepoSize(ctx, app.ID, push.RepoSize()); err != nil {
		return err
	}
	fmt.Fprintf(out, "-----> Launching...\n")
	if r.Status == platform.Pending {
		fmt.Fprintf(out, "       Release command declared: this new release will not be available until the command succeeds.\n")
		if r, err = c.awaitRelease(ctx, app, r, out); err != nil {
			return err
		}
		if r.Status == platform.Failed {
			fmt.Fprintf(out, " !     Release command failed: v%d is not released, the release before it keeps running.\n", r.Version)
			return nil
		}
	}
	fmt.Fprintf(out, "       Released v%d\n       %s deployed to niwa\n", r.Version, c.WebURL(app))
	return nil
}

// awaitRelease copies the output of a release phase until it has ended.
func (c *Controller) awaitRelease(ctx context.Context, app platform.App, r platform.Release, out io.Writer) (platform.Release, error) {
	output, err := c.Output(ctx, r.ID)
	if err != nil {
		return r, err
	}
	defer output.Close()
	if _, err := io.Copy(out, output); err != nil {
		return r, err
	}
	return c.Release(ctx, app.ID, r.ID)
}

func (c *Controller) draftBuild(ctx context.Context, nameOrID string, req BuildRequest) (app platform.App, b platform.Build, err error) {
	err = c.Store.Update(ctx, func(tx *store.Tx) error {
		if app, err = tx.App(nameOrID); err != nil {
			return err
		}
		b = platform.Build{
			ID: newID(), AppID: app.ID, Status: platform.Pending, Stack: app.BuildStack, Buildpacks: req.Buildpacks,
			SourceURL: req.SourceURL, SourceVersion: req.Version, SourceChecksum: req.Checksum, SourceDescription: req.description,
			CreatedAt: now(), UpdatedAt: now(),
		}
		if b.Stack == platform.ContainerStack {
			b.Buildpacks = []string{}
		} else if len(b.Buildpacks) == 0 {
			installed, err := tx.BuildpackInstallations(app.ID)
			if err != nil {
				return err
			}
			b.Buildpacks = []string{}
			for _, i := range installed {
				b.Buildpacks = append(b.Buildpacks, i.URL)
			}
		}
		c.outputs.open(b.ID)
		return tx.InsertBuild(b)
	})
	return app, b, err
}

// runBuild builds, and releases what was built. What people watch goes to the
// build's transcript and to out, the reason of a failure included: the error
// is then ErrShown.
func (c *Controller) runBuild(ctx context.Context, app platform.App, b platform.Build, out io.Writer, source func(context.Context, io.Writer) error) (platform.Release, error) {
	cr := c.crew(app.ID)
	cr.builds.Add(1)
	defer cr.builds.Done()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(cr.ctx, cancel)() // a build does not outlive its app
	transcript := c.outputs.open(b.ID)
	defer func() { c.report("keeping the output of a build", transcript.close(), "app", app.Name) }()
	var watched io.Writer = transcript
	if out != nil {
		watched = io.MultiWriter(transcript, out)
	}
	r, err := c.buildAndRelease(ctx, app, b, watched, source)
	if err != nil {
		var shown *platform.Error
		if !errors.As(err, &shown) {
			c.report("building", err, "app", app.Name)
		}
		c.apiLog(app.ID, "Build failed -- check your build output")
		c.report("noting a failed build", c.failBuild(app.ID, b.ID), "app", app.Name)
		c.report("removing the slug of a failed build", errors.Join(removed(c.slugPath(b.ID)), c.Builder.Discard(ctx, b.ID)), "app", app.Name)
	}
	return r, err
}

func (c *Controller) buildAndRelease(ctx context.Context, app platform.App, b platform.Build, out io.Writer, source func(context.Context, io.Writer) error) (platform.Release, error) {
	config, err := c.ConfigVars(ctx, app.ID)
	if err != nil {
		return platform.Release{}, err
	}
	tarball, writer := io.Pipe()
	go func() { writer.CloseWithError(source(ctx, writer)) }()
	defer tarball.Close()
	uid := 0
	if c.Isolate {
		uid = app.UID
	}
	if err := os.MkdirAll(filepath.Dir(c.slugPath(b.ID)), 0o711); err != nil {
		return platform.Release{}, err
	}
	c.apiLog(app.ID, fmt.Sprintf("Build started by user %s", c.email(ctx)))
	result, err := c.Builder.Build(ctx, build.Request{
		ID: b.ID, AppID: app.ID, UID: uid, Stack: b.Stack, Source: tarball, Version: b.SourceVersion,
		Env: config, Buildpacks: b.Buildpacks, SlugPath: c.slugPath(b.ID), Output: out,
	})
	if err != nil {
		return platform.Release{}, fmt.Errorf("%w: %w", ErrShown, err)
	}
	if err := c.setUp(ctx, app, result.Setup, out); err != nil {
		return platform.Release{}, shown(out, err)
	}
	return c.releaseBuild(ctx, app, b, result)
}

// shown says in a build's output why it failed after all, unless that is for
// the log of niwa alone.
func shown(out io.Writer, err error) error {
	var told *platform.Error
	if !errors.As(err, &told) {
		return err
	}
	fmt.Fprintf(out, " !     %s\n\n !     Push failed\n", told.Message)
	return fmt.Errorf("%w: %w", ErrShown, err)
}

// releaseBuild keeps what a build made and releases it.
func (c *Controller) releaseBuild(ctx context.Context, app platform.App, b platform.Build, result build.Result) (r platform.Release, err error) {
	slug := platform.Slug{
		ID: b.ID, AppID: app.ID, Stack: b.Stack, Checksum: result.Checksum, Size: result.Size,
		ProcessTypes: result.ProcessTypes, Images: result.Images, CreatedAt: now(), UpdatedAt: now(),
	}
	if result.Description != "" {
		slug.BuildpackProvidedDescription = &result.Description
	}
	if b.SourceVersion != "" {
		slug.Commit = &b.SourceVersion
	}
	if b.SourceDescription != "" {
		slug.CommitDescription = &b.SourceDescription
	}
	err = c.Store.Update(ctx, func(tx *store.Tx) error {
		if app, err = tx.App(app.ID); err != nil {
			return err
		}
		if err := tx.InsertSlug(slug); err != nil {
			return err
		}
		own, err := ownConfig(tx, app.ID)
		if err != nil {
			return err
		}
		if app.SlugSize == nil { // defaults of the buildpack or of heroku.yml count for a first deploy only
			for name, value := range result.Config {
				if _, set := own[name]; !set {
					own[name] = value
				}
			}
		}
		if app, r, err = c.release(tx, app, change{description: "Deploy " + short(b.SourceVersion), slug: &slug, config: own}); err != nil {
			return err
		}
		b.Status, b.SlugID, b.ReleaseID, b.UpdatedAt = platform.Succeeded, &slug.ID, &r.ID, now()
		if len(result.Buildpacks) > 0 {
			b.Buildpacks = result.Buildpacks
		}
		return tx.SaveBuild(b)
	})
	if err != nil {
		return r, err
	}
	c.apiLog(app.ID, "Build succeeded")
	c.released(ctx, app, r)
	return r, nil
}

func (c *Controller) noteRepoSize(ctx context.Context, appID string, size int64) error {
	return c.Store.Update(ctx, func(tx *store.Tx) error {
		app, err := tx.App(appID)
		if err != nil {
			return err
		}
		app.RepoSize = &size
		return tx.SaveApp(app)
	})
}

// short shortens a commit as Heroku does in release descriptions.
func short(version string) string {
	if len(version) > 8 {
		return version[:8]
	}
	return version
}

func removed(path string) error {
	if err := os.Remove(path); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// failBuild notes that a build failed; also when what it worked for has gone.
func (c *Controller) failBuild(appID, id string) error {
	err := c.Store.Update(context.Background(), func(tx *store.Tx) error {
		b, err := tx.Build(appID, id)
		if err != nil {
			return err
		}
		b.Status, b.UpdatedAt = platform.Failed, now()
		return tx.SaveBuild(b)
	})
	if missing(err) {
		return nil
	}
	return err
}

// failLostBuilds ends the builds that a niwa before this one left unfinished:
// their source may be gone, and whoever pushed was told that it failed.
func (c *Controller) failLostBuilds(ctx context.Context) error {
	return c.Store.Update(ctx, func(tx *store.Tx) error {
		lost, err := tx.PendingBuilds()
		for _, b := range lost {
			b.Status, b.UpdatedAt = platform.Failed, now()
			err = errors.Join(err, tx.SaveBuild(b))
		}
		return err
	})
}

// Builds lists an app's builds, oldest first.
func (c *Controller) Builds(ctx context.Context, nameOrID string) (all []platform.Build, err error) {
	err = c.Store.View(ctx, func(tx *store.Tx) error {
		app, err := tx.App(nameOrID)
		if err != nil {
			return err
		}
		all, err = tx.Builds(app.ID)
		return err
	})
	return all, err
}

// Build returns one build.
func (c *Controller) Build(ctx context.Context, nameOrID, id string) (b platform.Build, err error) {
	err = c.Store.View(ctx, func(tx *store.Tx) error {
		app, err := tx.App(nameOrID)
		if err != nil {
			return err
		}
		b, err = tx.Build(app.ID, id)
		return err
	})
	return b, err
}

// PurgeCache empties an app's build cache.
func (c *Controller) PurgeCache(ctx context.Context, nameOrID string) error {
	app, err := c.app(ctx, nameOrID)
	if err != nil {
		return err
	}
	return c.Builder.PurgeCache(ctx, app.ID)
}

// fetch writes the tarball at a URL, and checks it against the checksum that
// the client gave.
func fetch(ctx context.Context, req BuildRequest, w io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	get, err := http.NewRequestWithContext(ctx, http.MethodGet, req.SourceURL, nil)
	if err != nil {
		return platform.Errorf(build.Failed, "The source cannot be fetched: its URL is malformed.")
	}
	resp, err := http.DefaultClient.Do(get)
	if err != nil {
		return platform.Errorf(build.Failed, "The source cannot be fetched from %s: the server does not answer.", get.URL.Host)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return platform.Errorf(build.Failed, "The source cannot be fetched from %s: it answers %s.", get.URL.Host, resp.Status)
	}
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(w, sum), io.LimitReader(resp.Body, maxSource+1))
	if err != nil {
		return err
	}
	if n > maxSource {
		return platform.Errorf(build.Failed, "The source is larger than 1 GB.")
	}
	return verify(req.Checksum, sum)
}

func verify(checksum string, sum hash.Hash) error {
	want := strings.TrimPrefix(strings.ToLower(checksum), "sha256:")
	if got := hex.EncodeToString(sum.Sum(nil)); want != "" && want != got {
		return platform.Errorf(build.Failed, "The source's checksum is SHA256:%s, not %s as the build says.", got, checksum)
	}
	return nil
}
