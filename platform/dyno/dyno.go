// Package dyno is the contract between the platform and whatever runs its
// dynos: processes of this machine, containers of an engine. A runner exports
// New, and is finished when dynotest passes on it.
package dyno

import (
	"context"
	"io"
	"net"
	"time"
)

// Runner starts and stops dynos, which it knows by Spec.ID. Dynos outlive a
// platform that is killed: the next one makes a runner over the same place,
// has it Adopt the dynos that should go on, and Sweep away the rest before it
// starts any. All methods may be called at the same time.
type Runner interface {
	// Start starts a dyno. addr is the host:port to dial for what a web
	// dyno serves, and empty for others. When it returns an error nothing
	// runs and nothing is left on disk.
	Start(ctx context.Context, spec Spec) (addr string, err error)
	// Adopt takes back a dyno that a runner of an earlier platform started
	// with the same spec, unless it has a terminal or input, which went with
	// that platform. What it has written since then comes to spec.Output.
	// One that ended meanwhile is adopted too: Wait says how. An error says
	// that it is not there, or not whole, and leaves it to Sweep.
	Adopt(ctx context.Context, spec Spec) (addr string, err error)
	// Accepts says whether a web dyno accepts connections at its address; one
	// that somebody else listens at, as far as can be told, is not the dyno's.
	Accepts(ctx context.Context, id string) bool
	// Sweep ends and removes all that earlier runners left and nobody has
	// adopted.
	Sweep(ctx context.Context) error
	// Stop sends SIGTERM to everything in the dyno, and SIGKILL to what is
	// left after grace; it returns when nothing of it runs. Stopping a dyno
	// that has ended, or that the runner does not know, is not an error.
	Stop(ctx context.Context, id string, grace time.Duration) error
	// Wait blocks until the dyno has ended and every byte it wrote has been
	// given to Spec.Output.
	Wait(ctx context.Context, id string) (Exit, error)
	// Memory is how many bytes a running dyno uses, without what the kernel
	// only caches for it.
	Memory(ctx context.Context, id string) (int64, error)
}

// Answers says whether somebody accepts a TCP connection at an address.
func Answers(ctx context.Context, addr string) bool {
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// Spec says what to run.
type Spec struct {
	ID  string // uuid of the dyno; two live dynos never share one
	App string // uuid of the app
	UID int    // Unix user to run as when niwa is root; 0 otherwise

	// What the dyno is made of is one of these three.
	Slug  string // path of a gzipped tar that becomes the dyno's own /app
	Dir   string // existing directory to run in, given to UID, which outlives the dyno: how builds run
	Image string // container image that is all there is: how container-stack apps run

	Command string            // run by a shell in /app, after .profile.d/*.sh; with an Image, empty for its own
	Env     map[string]string // the whole environment but HOME, PATH, PORT and what the runner must set
	Web     bool              // it gets a PORT to listen on
	Limits  Limits

	// Output receives what the dyno writes to stdout and stderr, in the
	// order it was written. A slow Output slows the dyno, so give it a fast one.
	Output io.Writer
	Stdin  io.Reader // nil for none
	TTY    *TTY      // nil for pipes
}

// Limits are what a dyno may use of the machine; zero is no limit.
type Limits struct {
	Memory    int64 // bytes; a dyno that uses twice as many is killed, as on Heroku (R15)
	CPU       int   // weight against other dynos when the machine is busy; 1024 is the common one
	Processes int   // with their threads
}

// TTY asks for a terminal of a size.
type TTY struct {
	Window
	Resized <-chan Window // new sizes, for as long as the dyno runs; nil for none
}

// Window is the size of a terminal in characters.
type Window struct{ Cols, Rows int }

// Exit says how a dyno ended.
type Exit struct {
	Code   int    // exit status; 128 + signal number when a signal ended it
	Signal string // SIGKILL, or empty
	// Exhausted says that it was killed for its memory, at twice Limits.Memory.
	Exhausted bool
	// Lost says that it ended while what runs it was away, as an engine that
	// is started again ends all there is: it is not the app that failed.
	Lost bool
}
