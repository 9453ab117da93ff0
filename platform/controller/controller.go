// Package controller holds the verbs of the platform, one file per noun, and
// the reconciler that makes dynos match what the verbs have written down.
//
// A verb checks what it is asked, writes what should be in one transaction
// and returns the noun; from then on it is acknowledged and survives a crash.
// What has to happen in the world after that (dynos, release phases, add-ons
// coming and going) is done by a crew per app and by settle, which read the
// store and can be run again at any time.
package controller

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"

	"niwa/addons"
	"niwa/addons/catalog"
	"niwa/platform"
	"niwa/platform/build"
	"niwa/platform/certs"
	"niwa/platform/dyno"
	"niwa/platform/logplex"
	"niwa/platform/rendezvous"
	"niwa/platform/store"
	"niwa/router/route"
)

// Config is what a controller works with. It owns none of it.
type Config struct {
	Store      *store.Store
	Runner     dyno.Runner
	Builder    *build.Builder
	Logs       *logplex.Logplex
	Routes     *route.Table
	Rendezvous *rendezvous.Server
	Catalog    *catalog.Catalog
	Providers  map[string]addons.Provider // by the name elements.yaml gives them
	Dir        string                     // the data directory
	Domain     string                     // apps answer at NAME.Domain
	RouterURL  func(host string) string   // where the router serves a host
	GitURL     func(app string) string    // where to push an app to
	AttachURL  func(secret string) string // where a client meets a one-off dyno
	Isolate    bool                       // give each app a Unix user of its own
	Cycle      time.Duration              // how long a dyno of the formation runs before it is replaced; 0 for ever
	Forget     func(appID string) error   // removes the repository of an app, and ends what it is doing
	// Drain returns when no request is on its way to any of these dynos, of
	// which the table no longer speaks, or with the error of ctx. Nil when
	// nobody routes.
	Drain func(ctx context.Context, addrs []string) error
	// Loads is what the platform's own router knows of the dynos of an app. Nil
	// when the platform has none.
	Loads func(appID string) []platform.RoutedDyno
	// FreeMemory is how many bytes the machine has left for more dynos. Nil
	// when nobody knows.
	FreeMemory func() (int64, error)
	// Certs is told which certificates domains have. Nil when nobody ends TLS.
	Certs *certs.Live
	// Issue gets a certificate for a domain, which may take minutes. An error
	// that is a platform.Error is shown to whoever owns the domain.
	Issue func(ctx context.Context, hostname string) (certs.Pair, error)
	Log   *slog.Logger
}

// Controller carries out verbs. Its methods may be called at the same time.
type Controller struct {
	Config
	outputs outputs

	ctx    context.Context // ends when the controller closes
	cancel context.CancelFunc
	work   sync.WaitGroup // everything that goes on behind the verbs

	mu    sync.Mutex
	crews map[string]*crew // by app uuid
	locks keyedLocks
	hold  hold
	due   chan struct{} // holds something when certificates may be due
}

// New makes a controller. Start sets it going.
func New(cfg Config) *Controller {
	c := &Controller{Config: cfg, crews: map[string]*crew{}, outputs: newOutputs(cfg.Dir), due: make(chan struct{}, 1)}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c
}

// Start takes up what the last run left: it adopts the dynos that still run,
// ends builds that died with it, goes on with add-ons and release phases, sweeps what belongs to nobody and
// starts every app's dynos.
func (c *Controller) Start(ctx context.Context) error {
	apps, err := c.Apps(ctx)
	if err != nil {
		return err
	}
	stop, err := c.adopt(ctx)
	if err != nil {
		return err
	}
	if err := c.failLostBuilds(ctx); err != nil {
		return err
	}
	if err := c.Builder.Clean(ctx); err != nil {
		return err
	}
	if err := c.sweep(ctx); err != nil {
		return err
	}
	if err := c.refreshAddons(ctx); err != nil {
		return err
	}
	if err := c.settleAddons(ctx); err != nil {
		return err
	}
	for _, app := range apps {
		c.crew(app.ID).kick()
	}
	c.later(c.watchMemory)
	c.later(c.sweepDaily)
	if err := errors.Join(c.publishAll(ctx), c.publishCerts(ctx)); err != nil {
		return err
	}
	c.later(c.tendCertificates)
	stop()
	return nil
}

// Close stops every dyno, SIGTERM first and SIGKILL after 30 seconds, and
// waits for all that goes on behind the verbs.
func (c *Controller) Close(ctx context.Context) error {
	c.mu.Lock()
	c.cancel()
	crews := make([]*crew, 0, len(c.crews))
	for _, crew := range c.crews {
		crews = append(crews, crew)
	}
	c.mu.Unlock()
	c.rest(ctx)
	for _, crew := range crews {
		crew.dismiss()
	}
	done := make(chan struct{})
	go func() { c.work.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// later runs f behind the verbs, until the controller closes.
func (c *Controller) later(f func(ctx context.Context)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx.Err() != nil {
		return
	}
	c.work.Go(func() { f(c.ctx) })
}

// report logs an internal failure of work that nobody waits for.
func (c *Controller) report(what string, err error, args ...any) {
	if err != nil && !errors.Is(err, context.Canceled) {
		c.Log.Error(what, append(args, "error", err)...)
	}
}

// app reads an app in a transaction of its own.
func (c *Controller) app(ctx context.Context, nameOrID string) (app platform.App, err error) {
	err = c.Store.View(ctx, func(tx *store.Tx) error {
		app, err = tx.App(nameOrID)
		return err
	})
	return app, err
}

// apiLog writes what an API call did into the app's log.
func (c *Controller) apiLog(appID, text string) { c.Logs.Log(appID, "app", "api", text) }

func newID() string { return uuid.NewString() }

// now is the present as the store keeps it: microseconds, UTC.
func now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }
