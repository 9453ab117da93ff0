// Package instance is one running niwa: it takes a data directory, opens what
// is in it, wires every part to the next and puts the listeners up; Shutdown
// takes it all down again. It is the only place that knows all the parts, and
// it holds no rule of its own about apps.
package instance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"niwa/addons"
	"niwa/addons/catalog"
	"niwa/platform/api"
	"niwa/platform/build"
	"niwa/platform/certs"
	"niwa/platform/controller"
	"niwa/platform/git"
	"niwa/platform/logplex"
	"niwa/platform/pki"
	"niwa/platform/proc"
	"niwa/platform/rendezvous"
	"niwa/platform/store"
	"niwa/router"
	"niwa/router/follow"
	"niwa/router/metrics"
	"niwa/router/route"
)

// Config says where a niwa lives and listens. Addresses may have port 0.
type Config struct {
	Data      string // directory; made when it is not there
	API       string // localhost:5100
	Router    string // 127.0.0.1:8080
	RouterTLS string // 127.0.0.1:8443
	NoRouter  bool   // a router that runs alone is there instead
	// Follow is the URL of the platform that a router alone follows; empty for the
	// one on Data. FollowToken is a token of its account; empty for that on Data.
	Follow, FollowToken string
	Metrics             string // 127.0.0.1:0; where Prometheus asks about the router
	Runtime             string // Auto, Docker or Process
	StackBase           string // image that the stack image starts from; empty for the usual one
	Engines             string // auto, external, docker, native or embedded
	// PostgresURL and RedisURL name servers elsewhere, with an administrator's
	// credentials; empty for none. The images are what containers are made of;
	// empty for the usual ones.
	PostgresURL, RedisURL     string
	PostgresImage, RedisImage string
	Strictness                string        // the router's: strict or heroku; empty for strict
	Domain                    string        // apps answer at NAME.Domain
	Cycle                     time.Duration // how long a dyno runs before it is replaced; 0 for ever
	Elements                  []byte        // elements.yaml
	Buildpacks                fs.FS
	Version                   string
	Progress                  func(format string, args ...any) // told what takes its time
	Log                       *slog.Logger

	// ACMEDirectory is the URL of the authority that signs the certificates of
	// domains; empty for niwa's own. ACMERoots is a file with who vouches for
	// its server; empty for the machine's roots.
	ACMEDirectory, ACMEEmail, ACMERoots string
}

// Listener is where something answers.
type Listener struct{ Name, URL string }

// Instance is a running niwa.
type Instance struct {
	cfg       Config
	home      *home
	listeners []Listener
	dataHost  string // where dynos reach data services; empty for 127.0.0.1

	controller *controller.Controller
	api        *api.API
	git        *git.Server
	router     *router.Router // nil with Config.NoRouter
	metrics    net.Listener   // nil with Config.NoRouter
	prometheus *http.Server
	elsewhere  *metrics.Metrics // what routers that run alone have done
	publisher  *follow.Publisher
	rendezvous *rendezvous.Server
	stop       []func(context.Context) error // in the order things were started

	failed chan struct{}
	once   sync.Once
	err    error
}

// Start starts a niwa. When it returns without an error everything answers;
// when it returns one nothing is left running.
func Start(ctx context.Context, cfg Config) (*Instance, error) {
	return start(ctx, cfg, (*Instance).startPlatform)
}

func start(ctx context.Context, cfg Config, how func(*Instance, context.Context) error) (*Instance, error) {
	i := &Instance{cfg: cfg, failed: make(chan struct{})}
	if err := how(i, ctx); err != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		return nil, errors.Join(err, i.Shutdown(ctx))
	}
	return i, nil
}

func (i *Instance) startPlatform(ctx context.Context) (err error) {
	if i.home, err = openHome(i.cfg.Data); err != nil {
		return err
	}
	i.onStop(func(context.Context) error { return i.home.close() })
	if err := i.home.freshTmp(); err != nil {
		return spaceless(err)
	}
	ca, err := pki.Open(filepath.Join(i.cfg.Data, "ca"))
	if err != nil {
		return err
	}
	nets, err := i.listen(ca)
	if err != nil {
		return err
	}
	if err := i.listenForMetrics(); err != nil {
		return err
	}
	p, err := i.open(ctx, ca)
	if err != nil {
		return err
	}
	if p.runtime, err = i.chooseRuntime(ctx, p.procs); err != nil {
		return err
	}
	i.cfg.Progress("%s", p.runtime)
	if p.providers, err = i.providers(ctx, p.procs, ca); err != nil {
		return err
	}
	p.nets = nets
	if p.routes, err = route.Open(filepath.Join(i.cfg.Data, "routes.log")); errors.Is(err, route.ErrCorrupt) {
		i.cfg.Progress("%v; it is made anew from the apps there are", err)
	} else if err != nil {
		return err
	}
	i.onStop(func(context.Context) error { return p.routes.Close() })
	i.wire(p)
	if err := i.git.Sweep(); err != nil {
		return err
	}
	if err := i.controller.EnsureAccount(ctx, i.home.email(), i.home.token); err != nil {
		return err
	}
	if err := i.controller.Start(ctx); err != nil {
		return err
	}
	// Who had something to adopt has done so.
	lost, err := p.procs.Sweep("")
	if err != nil {
		return err
	}
	if len(lost) > 0 {
		i.cfg.Progress("Ended %d processes that the last niwa left behind", len(lost))
	}
	i.serve(i.servers(nets))
	i.onStop(running(i.watchDisk))
	return i.home.publish(i.record(p))
}

// open opens what the data directory holds. It is locked, and its secrets are
// there.
func (i *Instance) open(ctx context.Context, ca *pki.Authority) (p parts, err error) {
	p.ca = ca
	if p.procs, err = proc.Open(filepath.Join(i.cfg.Data, "procs")); err != nil {
		return p, err
	}
	i.onStop(p.procs.Close)
	if p.state, err = store.Open(ctx, filepath.Join(i.cfg.Data, "niwa.db"), i.home.key); err != nil {
		return p, err
	}
	i.onStop(func(context.Context) error { return p.state.Close() })
	if p.logs, err = logplex.Open(filepath.Join(i.cfg.Data, "logs")); err != nil {
		return p, err
	}
	if p.certs, err = certs.Open(certsFile(i.cfg.Data), i.home.key); err != nil {
		return p, err
	}
	if p.issue, err = i.issue(ca, p.state, p.certs); err != nil {
		return p, err
	}
	p.logs.Errors = func(err error) { i.cfg.Log.Error("keeping logs", "error", err) }
	i.onStop(func(context.Context) error { return p.logs.Close() })
	p.market, err = catalog.Load(i.cfg.Elements)
	return p, err
}

// parts is what wire puts together.
type parts struct {
	nets      *sockets
	ca        *pki.Authority
	procs     *proc.Table
	state     *store.Store
	logs      *logplex.Logplex
	routes    *route.Table
	certs     *certs.Live
	issue     func(ctx context.Context, domain string) (certs.Pair, error)
	market    *catalog.Catalog
	runtime   runtime
	providers map[string]addons.Provider
}

// wire makes the parts that serve and joins them.
func (i *Instance) wire(p parts) {
	data := func(name string) string { return filepath.Join(i.cfg.Data, name) }
	builder := build.New(build.Config{
		Runner: p.runtime.runner, Dir: data("builds"), CacheDir: data("cache"), Buildpacks: i.cfg.Buildpacks,
		MachineEnv: p.runtime.machineEnv, Images: p.runtime.images,
	})
	i.rendezvous = rendezvous.New(p.nets.rendezvous)
	i.controller = controller.New(controller.Config{
		Store: p.state, Runner: p.runtime.runner, Builder: builder, Logs: p.logs, Routes: p.routes, Rendezvous: i.rendezvous,
		Catalog: p.market, Providers: p.providers, Dir: i.cfg.Data, Domain: i.cfg.Domain,
		RouterURL: p.nets.routerURL, GitURL: p.nets.gitURL, AttachURL: p.nets.attachURL,
		Isolate: os.Geteuid() == 0, Cycle: i.cfg.Cycle, FreeMemory: freeMemory, Drain: i.drain, Loads: i.loads(), Log: i.cfg.Log,
		Forget: func(appID string) error { return i.git.Remove(appID) }, Certs: p.certs, Issue: p.issue,
	})
	i.git = git.New(git.Config{Dir: data("repos"), Procs: p.procs, App: i.controller.App, Push: i.push, Log: i.cfg.Log})
	i.wireRouters(p)
	i.api = api.New(api.Config{
		Controller: i.controller, Logs: p.logs, Catalog: p.market, Key: i.home.key,
		BaseURL: p.nets.apiURL("http"), SecureURL: p.nets.apiURL("https"), SourcesDir: data("sources"),
		Mount: i.mount, Buildpacks: i.cfg.Buildpacks, Log: i.cfg.Log, Version: i.cfg.Version,
		Backup:  func(ctx context.Context, w io.Writer) error { return i.backup(ctx, p, w) },
		Routers: i.wireHistory(p.routes),
	})
	i.onStop(i.rendezvousStop)
	i.onStop(i.api.Shutdown)
	i.onStop(func(context.Context) error { return i.publisher.Close() })
	i.onStop(i.stopDynos)
	i.onStop(func(context.Context) error { i.git.Close(); return nil })
	if i.router != nil {
		i.onStop(i.stopRouter)
	}
}

// push is what a push to main asks the controller for.
func (i *Instance) push(ctx context.Context, p git.Push, out io.Writer) error {
	err := i.controller.Push(ctx, controller.PushRequest{
		AppID: p.App.ID, Commit: p.New, Description: p.Description, Source: p.Archive,
		RepoSize: func() int64 { return i.git.Size(p.App.ID) },
	}, out)
	if errors.Is(err, controller.ErrShown) {
		return fmt.Errorf("%w: %w", git.ErrTold, err)
	}
	return err
}

// stopDynos stops the dynos. One that a client is attached to has not ended
// before the client has read what it wrote, so a client that does not read is
// cut off once the dynos have had their time.
func (i *Instance) stopDynos(ctx context.Context) error {
	cut := time.AfterFunc(35*time.Second, func() {
		if err := i.rendezvous.Close(); err != nil {
			i.cfg.Log.Error("closing rendezvous", "error", err)
		}
	})
	defer cut.Stop()
	return i.controller.Close(ctx)
}

func (i *Instance) rendezvousStop(context.Context) error { return i.rendezvous.Close() }

func (i *Instance) servers(s *sockets) map[string]func() error {
	all := map[string]func() error{}
	if i.router != nil {
		all = i.routerServers(s)
	}
	all["API"] = func() error { return i.api.Serve(s.api) }
	all["rendezvous"] = i.rendezvous.Serve
	all["routers' socket"] = func() error { return i.publisher.Serve(s.followers) }
	return all
}

// serve sets every listener going. A listener that fails takes the instance
// with it.
func (i *Instance) serve(servers map[string]func() error) {
	for name, serve := range servers {
		go func() {
			if err := serve(); err != nil && !errors.Is(err, net.ErrClosed) {
				i.fail(fmt.Errorf("the %s stopped answering: %w", name, err))
			}
		}()
	}
}

func (i *Instance) fail(err error) {
	i.once.Do(func() { i.err = err; close(i.failed) })
}

// Listeners says where everything answers.
func (i *Instance) Listeners() []Listener { return i.listeners }

// Done is closed when the instance can no longer work; Err then says why.
func (i *Instance) Done() <-chan struct{} { return i.failed }

// Err is what closed Done.
func (i *Instance) Err() error { return i.err }

// Shutdown stops taking requests and lets those under way end, stops the
// dynos, then everything else, and returns when nothing is left running.
func (i *Instance) Shutdown(ctx context.Context) error {
	var all error
	for n := len(i.stop) - 1; n >= 0; n-- {
		all = errors.Join(all, i.stop[n](ctx))
	}
	i.stop = nil
	return all
}

// onStop adds what Shutdown does, before all that was added earlier.
func (i *Instance) onStop(f func(context.Context) error) { i.stop = append(i.stop, f) }
