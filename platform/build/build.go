// Package build turns source into a slug: it unpacks the source, lets
// buildpacks work on it and packs what they leave. Buildpacks are programs
// that speak Heroku's Buildpack API
// (https://devcenter.heroku.com/articles/buildpack-api), so that anybody's run
// unchanged. On the container stack, Dockerfiles make images in their stead.
//
// Nothing that comes in is trusted. Source and buildpack archives are unpacked
// through an os.Root with limits, programs run in build dynos as the app's own
// user, and what they leave is read through the same os.Root.
package build

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/google/uuid"

	"niwa/platform"
	"niwa/platform/build/image"
	"niwa/platform/build/manifest"
	"niwa/platform/dyno"
)

// Failed is the id of the platform.Error of a build that could not be
// finished because of what was pushed.
const Failed = "build_failed"

// Config is what a Builder works with. Dir and CacheDir are on one filesystem.
type Config struct {
	Runner     dyno.Runner
	Dir        string // has a folder per app that is being built
	CacheDir   string // has a folder per app, kept between its builds
	Buildpacks fs.FS  // the built-in ones: go/bin/detect, ...
	// MachineEnv is the part of this machine's environment that build
	// programs see beside what Heroku gives them: PATH, and the settings
	// with which the machine reaches its package sources (GOPROXY,
	// HTTPS_PROXY, npm_config_registry, ...).
	MachineEnv map[string]string
	Images     *image.Builder // for the container stack; nil where no engine runs dynos
	Limits     Limits         // zero fields mean Heroku's limits
}

// Limits bounds what one build may take.
type Limits struct {
	Slug      int64         // bytes of the compressed slug
	Source    int64         // bytes of the unpacked source
	Files     int           // entries of the source
	Buildpack int64         // bytes of a buildpack, packed and unpacked
	Time      time.Duration // from its turn to its slug
}

func (l Limits) withDefaults() Limits {
	set := func(field *int64, value int64) {
		if *field == 0 {
			*field = value
		}
	}
	set(&l.Slug, 500<<20)
	set(&l.Source, 2<<30)
	set(&l.Buildpack, 100<<20)
	if l.Files == 0 {
		l.Files = 200_000
	}
	if l.Time == 0 {
		l.Time = 15 * time.Minute
	}
	return l
}

// Request asks for one build.
type Request struct {
	ID      string    // uuid of the build
	AppID   string    // uuid of the app
	UID     int       // Unix user of the app's programs when niwa is root
	Stack   string    // heroku-24, or container
	Source  io.Reader // a tar or tar.gz; its root is the root of the app
	Version string    // SOURCE_VERSION: a commit, or what the client called it
	// Env holds the app's config vars. Programs find them as files in
	// ENV_DIR, not in their environment.
	Env map[string]string
	// Buildpacks are names (heroku/go), urn:buildpack: names, git URLs with
	// an optional #ref, or tarball URLs. None means detection.
	Buildpacks []string
	SlugPath   string // appears when the build succeeds, whole
	// Output receives what people watch. What it fails to take is lost and
	// does not fail the build, as on Heroku when a pusher goes away.
	Output io.Writer
}

// Result is what a build made.
type Result struct {
	ProcessTypes map[string]string // process type to command, as it is shown
	Size         int64             // bytes of the slug, or of the images
	Checksum     string            // SHA256:hex of the slug
	Buildpacks   []string          // names or URLs of those used, in order
	Description  string            // what the last buildpack calls the app: Go
	Config       map[string]string // config vars that a first release sets where unset
	Setup        []manifest.Addon  // add-ons that bin/release or heroku.yml wants for a first release

	// Of the container stack, which makes no file at SlugPath.
	Images map[string]platform.Image // by process type
}

// Builder builds. Builds of different apps run at the same time, those of one
// app one after the other.
type Builder struct {
	cfg   Config
	turns turns
	http  *http.Client
}

// New returns a Builder. It owns cfg.Dir and cfg.CacheDir.
func New(cfg Config) *Builder {
	cfg.Limits = cfg.Limits.withDefaults()
	return &Builder{cfg: cfg, http: &http.Client{Timeout: 5 * time.Minute}}
}

// Clean removes what builds of a niwa that died have left. No build may run.
func (b *Builder) Clean(ctx context.Context) error {
	entries, err := os.ReadDir(b.cfg.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	for _, e := range entries {
		err = errors.Join(err, removeAll(b.cfg.Dir, e.Name()))
	}
	if b.cfg.Images != nil {
		err = errors.Join(err, b.cfg.Images.Clean(ctx))
	}
	return err
}

// PurgeCache empties an app's build cache, after its running build.
func (b *Builder) PurgeCache(ctx context.Context, appID string) error {
	if err := checkUUID("app", appID); err != nil {
		return err
	}
	done, err := b.turns.take(ctx, appID, func() {})
	if err != nil {
		return err
	}
	defer done()
	err = removeAll(b.cfg.CacheDir, appID)
	if b.cfg.Images != nil {
		err = errors.Join(err, b.cfg.Images.Trim(ctx, appID, nil))
	}
	return err
}

// Build makes a slug at req.SlugPath. A *platform.Error says what is wrong
// with what was pushed; the end of ctx comes back as its error. Either way
// Output has been told, in Heroku's words.
func (b *Builder) Build(ctx context.Context, req Request) (Result, error) {
	out := newOutput(req.Output)
	result, err := b.inTurn(ctx, req, out)
	if err != nil {
		out.failed(err)
		return Result{}, err
	}
	return result, nil
}

var errTimeout = errors.New("build: out of time")

func (b *Builder) inTurn(ctx context.Context, req Request, out *output) (_ Result, err error) {
	if err := req.check(); err != nil {
		return Result{}, err
	}
	done, err := b.turns.take(ctx, req.AppID, func() {
		out.step("Waiting for the running build of this app to finish")
	})
	if err != nil {
		return Result{}, err
	}
	defer done()
	ctx, cancel := context.WithTimeoutCause(ctx, b.cfg.Limits.Time, errTimeout)
	defer cancel()

	j, err := b.open(req, out)
	if err != nil {
		return Result{}, fmt.Errorf("build %s: %w", req.ID, err)
	}
	defer func() { err = errors.Join(err, j.close()) }()
	result, err := j.do(ctx)
	if context.Cause(ctx) == errTimeout && err != nil {
		return Result{}, reject("Push rejected, timed out %s (%v). Make the build faster or do less in it.", j.doing, b.cfg.Limits.Time)
	}
	return result, err
}

// do is the build proper, in the order people see it.
func (j *job) do(ctx context.Context) (Result, error) {
	j.out.step("Building on the %s stack", stackTitle(j.req.Stack))
	if j.req.Stack == platform.ContainerStack {
		return j.doImages(ctx)
	}
	if err := j.receive(ctx); err != nil {
		return Result{}, err
	}
	chosen, err := j.choose(ctx)
	if err != nil {
		return Result{}, err
	}
	var result Result
	var defaults release
	for _, among := range chosen {
		var p pack
		if p, defaults, err = j.apply(ctx, among); err != nil {
			return Result{}, err
		}
		result.Buildpacks = append(result.Buildpacks, p.ref.name)
		result.Description = p.title
	}
	// Only the last buildpack speaks for the app, as on Heroku:
	// https://devcenter.heroku.com/articles/using-multiple-buildpacks-for-an-app
	result.Setup, result.Config = defaults.setup(), defaults.ConfigVars
	if result.ProcessTypes, err = j.processTypes(defaults); err != nil {
		return Result{}, err
	}
	result.Size, result.Checksum, err = j.pack(ctx)
	return result, err
}

func (r *Request) check() error {
	if err := errors.Join(checkUUID("build", r.ID), checkUUID("app", r.AppID)); err != nil {
		return err
	}
	if r.Stack == platform.ContainerStack {
		return nil // what follows is about programs that run here
	}
	if os.Geteuid() == 0 && r.UID == 0 {
		return fmt.Errorf("build %s: the app has no Unix user of its own, and buildpacks do not run as root", r.ID)
	}
	for name := range r.Env {
		if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") {
			return platform.Invalid("The config var %q cannot be given to a build: use letters, digits and _ in its name.", name)
		}
	}
	return nil
}

// checkUUID keeps ids that become folder names to what they say they are.
func checkUUID(what, id string) error {
	if u, err := uuid.Parse(id); err != nil || u.String() != id {
		return fmt.Errorf("build: %q is not the uuid of a %s", id, what)
	}
	return nil
}

func reject(format string, args ...any) *platform.Error {
	return platform.Errorf(Failed, format, args...)
}
