// Package api is the Platform API v3 and the Data API over HTTP. A handler
// decodes what was asked, calls one verb of the controller and encodes the
// noun it gets; it holds no rule about apps. What a client may call is one
// table (routes.go), which error is which status another (errors.go).
//
// The API is what Heroku's clients were written against:
// https://devcenter.heroku.com/articles/platform-api-reference
// Where it is not documented it follows what the official CLI sends and reads.
package api

import (
	"context"
	"html/template"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/gofiber/fiber/v2"

	"niwa/addons/catalog"
	"niwa/platform/controller"
	"niwa/platform/logplex"
	"niwa/router/metrics"
)

// Config is what an API works with. It owns none of it.
type Config struct {
	Controller *controller.Controller
	Logs       *logplex.Logplex
	Catalog    *catalog.Catalog
	Key        []byte             // signs the URLs that are secrets themselves
	BaseURL    string             // where clients reach the API: http://localhost:5100
	SecureURL  string             // the same over TLS, for clients that came over TLS
	SourcesDir string             // uploaded sources; made when needed
	Mount      func(fiber.Router) // further addresses, behind authentication: git
	Buildpacks fs.FS              // the built-in buildpacks, a folder each
	Log        *slog.Logger
	Version    string
	// Backup writes an archive of the whole platform.
	Backup func(ctx context.Context, w io.Writer) error
	// Routers have counted the requests of apps.
	Routers []*metrics.Metrics
}

// API serves one platform. It is made by New and used up by Shutdown.
type API struct {
	Config
	fiber  *fiber.App
	pages  *template.Template
	sign   signer
	limits limits
	logins logins

	// Requests run under ctx, answers that stream without end under streams.
	ctx        context.Context
	cancel     context.CancelFunc
	streams    context.Context
	endStreams context.CancelFunc
}

const (
	maxBody      = 1 << 20 // of a JSON request, bytes
	maxHeader    = 32 << 10
	readTimeout  = 30 * time.Second // for a request to arrive whole
	sendTimeout  = time.Hour        // for a push or a source to arrive whole
	idleTimeout  = 2 * time.Minute
	drainTimeout = 2 * time.Second // for a client to take the end of a stream
)

// New makes an API. Serve sets it going.
func New(cfg Config) *API {
	a := &API{Config: cfg, pages: parsePages(), sign: signer{key: cfg.Key}}
	a.ctx, a.cancel = context.WithCancel(context.Background())
	a.streams, a.endStreams = context.WithCancel(a.ctx)
	a.fiber = fiber.New(fiber.Config{
		ServerHeader:                 "niwa/" + cfg.Version,
		CaseSensitive:                true,
		Immutable:                    true, // handlers keep what they read
		StreamRequestBody:            true,
		DisablePreParseMultipartForm: true,
		BodyLimit:                    maxBody,
		ReadBufferSize:               maxHeader, // the official CLI's Request-Id grows to 7 kB
		ReadTimeout:                  readTimeout,
		IdleTimeout:                  idleTimeout,
		DisableStartupMessage:        true,
		ErrorHandler:                 a.fail,
	})
	a.fiber.Server().HeaderReceived = patience
	a.fiber.Server().CloseOnShutdown = true
	a.fiber.Use(a.observe, a.body)
	a.register(a.fiber)
	return a
}

// Serve answers on ln until Shutdown, and then returns nil.
func (a *API) Serve(ln net.Listener) error { return a.fiber.Listener(ln) }

// Shutdown ends every stream and waits for the requests under way. When ctx
// ends first, they are abandoned.
func (a *API) Shutdown(ctx context.Context) error {
	defer a.cancel()
	a.endStreams()
	// A build fetches its source from here, and may leave a connection behind that
	// was never used: such are waited for.
	http.DefaultClient.CloseIdleConnections()
	return a.fiber.ShutdownWithContext(ctx)
}
