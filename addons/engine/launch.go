package engine

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"syscall"
	"time"
)

// Task is a program to run as the servers' user.
type Task struct {
	ID   string   // names it among processes, containers and log lines
	Dir  string   // its working directory, and all that it sees of niwa's files
	Args []string // the program and its arguments
	Log  string   // file for what a process writes; an engine keeps what a container writes

	Config string         // what it reads as it starts: one that read something else is not adopted
	Signal syscall.Signal // asks it to finish cleanly
	Check  func() error   // says whether it can be started; nil when nothing is in its way
}

// Child is one run of a task.
type Child interface {
	// Done is closed when nothing of it runs.
	Done() <-chan struct{}
	// Status says how it ended, once Done is closed; 0 is success.
	Status() int
	// Tail is the end of what it has written, for an error message.
	Tail() string
	// Stop asks it to finish, makes it after grace, and removes what is left
	// of it. It is called for one that has ended too.
	Stop(ctx context.Context, grace time.Duration) error
}

// Launcher runs tasks: as processes, or in containers of an image.
type Launcher interface {
	// Launch starts a task, or takes back one that an earlier niwa started
	// in just this way. When it returns an error nothing of it runs.
	Launch(ctx context.Context, t Task) (Child, error)
}

// Run runs a task to its end and returns the end of what it wrote. When ctx
// ends nothing of it is left.
func Run(ctx context.Context, l Launcher, t Task) (string, error) {
	t.Config = rand.Text() // of an earlier one only the remains are left
	child, err := l.Launch(ctx, t)
	if err != nil {
		return "", err
	}
	select {
	case <-child.Done():
	case <-ctx.Done():
		return "", errors.Join(ctx.Err(), child.Stop(context.WithoutCancel(ctx), 0))
	}
	said := child.Tail()
	err = child.Stop(context.WithoutCancel(ctx), 0)
	if status := child.Status(); status != 0 {
		err = errors.Join(fmt.Errorf("%s ended with status %d: %s", t.ID, status, said), err)
	}
	return said, err
}
