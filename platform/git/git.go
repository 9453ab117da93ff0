// Package git takes pushes in: git's smart HTTP protocol before one bare
// repository per app, and a build within each push to main or master.
//
// The machine's own git speaks the protocol and keeps the objects. A push is
// decided in its pre-receive phase, while what came is still in quarantine:
// the hook is a few lines of shell that hand the refs to niwa through pipes
// it inherited, print what comes back (git sends it on as "remote:" lines)
// and exit as told. The build runs in between, so that a failed one rejects
// the push and leaves no trace.
//
// A client that goes away in the middle of a build does not stop it: the
// build goes on, and so does the release, as on Heroku.
package git

import (
	"context"
	"io"
	"log/slog"
	"sync"

	"github.com/gofiber/fiber/v2"

	"niwa/platform"
	"niwa/platform/proc"
)

// maxPush is the most a push may carry, in bytes.
// Source: https://devcenter.heroku.com/articles/limits#git-repos
const maxPush = 1 << 30

// Config is what a Server works with. All of it is needed.
type Config struct {
	Dir   string      // the repositories: <uuid of the app>.git
	Procs *proc.Table // where gits are found again that outlive a killed niwa

	// App finds the app with a name. A *platform.Error is told to the client.
	App func(ctx context.Context, name string) (platform.App, error)

	// Push builds and releases what was pushed, and writes what it has to
	// say to out: the client sees each line at once. An error rejects the
	// push: the client is told a *platform.Error, any other is logged. The
	// context ends when the app is removed or the server closes.
	Push func(ctx context.Context, push Push, out io.Writer) error

	Log *slog.Logger
}

// Push is a push to main or master.
type Push struct {
	App         platform.App
	Ref         string // refs/heads/main
	Old         string // the commit before; empty for a first push
	New         string // the commit pushed
	Description string // first line of its message

	// Archive writes the tree of New as a tar, as it comes from the client:
	// unpack it with care. It works until Push returns.
	Archive func(ctx context.Context, w io.Writer) error
}

// Server serves the repositories of all apps.
type Server struct {
	Config
	maxPush int64

	mu       sync.Mutex
	closed   bool
	building map[string]bool     // apps with a build under way
	running  map[*process]string // to the app it runs for
}

// New makes a Server. Nothing is written before Sweep and the first request.
func New(config Config) *Server {
	return &Server{
		Config:   config,
		maxPush:  maxPush,
		building: map[string]bool{},
		running:  map[*process]string{},
	}
}

// Mount registers the addresses a git client asks for. Authentication is up
// to the handlers before; the fiber server must have StreamRequestBody set
// and no WriteTimeout.
func (s *Server) Mount(r fiber.Router) {
	r.Get("/:app.git/info/refs", s.advertise)
	r.Post("/:app.git/git-upload-pack", s.uploadPack)
	r.Post("/:app.git/git-receive-pack", s.receivePack)
	r.Get("/:app.git/*", s.dumb)
}

// Close ends every git that runs, and the builds within, and returns when
// none is left. Later requests are refused.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.kill(func(string) bool { return true })
}

// kill ends the gits that run for the apps that match.
func (s *Server) kill(match func(appID string) bool) {
	s.mu.Lock()
	var ending []*process
	for p, appID := range s.running {
		if match(appID) {
			ending = append(ending, p)
		}
	}
	s.mu.Unlock()
	for _, p := range ending {
		p.cancel()
	}
	for _, p := range ending {
		<-p.ended
	}
}

// claim makes a process the builder of its app until it ends. It returns
// false when the app has one.
func (s *Server) claim(p *process, appID string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.building[appID] {
		return false
	}
	s.building[appID] = true
	p.claimed = true
	return true
}
