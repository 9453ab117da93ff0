// Package dyno is the contract between the platform and whatever runs its
// dynos: processes of this machine, containers of an engine. A runner exports
// New, and is finished when dynotest passes on it.
package dyno

import (
	"context"
	"io"
	"time"
)

// Runner starts and stops dynos. Its methods may be called at the same time.
type Runner interface {
	// Start starts a dyno and returns what the runner calls it. When it
	// returns an error nothing runs and nothing is left on disk.
	Start(ctx context.Context, spec Spec) (id string, err error)
	// Stop sends SIGTERM to everything in the dyno, and SIGKILL to what is
	// left after grace; it returns when nothing of it runs. Stopping a dyno
	// that has ended, or that the runner does not know, is not an error.
	Stop(ctx context.Context, id string, grace time.Duration) error
	// Wait blocks until the dyno has ended and every byte it wrote has been
	// given to Spec.Output.
	Wait(ctx context.Context, id string) (Exit, error)
}

// Spec says what to run.
type Spec struct {
	ID  string // uuid of the dyno; two live dynos never share one
	App string // uuid of the app
	UID int    // Unix user to run as when niwa is root; 0 otherwise

	// Slug is the path of a gzipped tar that becomes the dyno's own /app.
	// Or Dir is an existing directory to run in, which is given to UID and
	// outlives the dyno: how builds run.
	Slug string
	Dir  string

	Command string            // run by a shell in /app, after .profile.d/*.sh
	Env     map[string]string // the whole environment but HOME, PATH and what the runner must set
	Memory  int64             // bytes the dyno's size allows; 0 for no limit

	// Output receives what the dyno writes to stdout and stderr, in the
	// order it was written. A slow Output slows the dyno, so give it a fast one.
	Output io.Writer
	Stdin  io.Reader // nil for none
	TTY    *TTY      // nil for pipes
}

// TTY asks for a terminal of a size.
type TTY struct{ Cols, Rows int }

// Exit says how a dyno ended.
type Exit struct {
	Code   int    // exit status; 128 + signal number when a signal ended it
	Signal string // SIGKILL, or empty
}
