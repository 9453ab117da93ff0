package git

import (
	"context"
	"fmt"
	"io"
	"os/exec"
	"syscall"
	"time"

	"github.com/google/uuid"

	"niwa/platform"
	"niwa/platform/proc"
)

// process is a git that serves one request.
type process struct {
	stdin    io.WriteCloser
	out      *spool
	cancel   context.CancelFunc // kills it and what it started
	ended    chan struct{}      // closed when nothing of it runs
	err      error              // how it ended; to be read after ended
	claimed  bool               // it is the builder of its app
	deployed string             // the ref whose build succeeded in it
}

// start starts a git for an app in the repository dir; with a push's hook
// when hook is not nil.
func (s *Server) start(app platform.App, protocol string, hook *hook, args ...string) (*process, error) {
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Env = s.environment()
	if protocol != "" {
		cmd.Env = append(cmd.Env, "GIT_PROTOCOL="+protocol)
	}
	// The group is its own, so that the hook and all other children go too.
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	var running *proc.Process
	p := &process{out: newSpool(), cancel: cancel, ended: make(chan struct{})}
	var said tail
	cmd.Stdout, cmd.Stderr = p.out, &said
	if hook != nil {
		cmd.ExtraFiles = hook.child()
	}
	stdin, err := cmd.StdinPipe()
	if err == nil {
		p.stdin = stdin
		err = s.register(p, app.ID, func() (err error) {
			running, err = s.Procs.Start(procs+uuid.NewString(), cmd)
			return err
		})
	}
	if hook != nil {
		hook.closeChild()
	}
	if err != nil {
		cancel()
		if hook != nil {
			hook.close()
		}
		return nil, err
	}

	decided := make(chan struct{})
	go func() {
		defer close(decided)
		if hook != nil {
			hook.serve(ctx, func(ctx context.Context, r received, out io.Writer) bool {
				return s.preReceive(ctx, p, app, r, out)
			})
		}
	}()
	go func() {
		<-running.Done()
		p.err = exit(running)
		cancelled := ctx.Err() != nil
		cancel()
		<-decided
		if p.err != nil && !cancelled {
			s.Log.Info("git failed", "app", app.Name, "command", args[0], "error", p.err, "said", said.String())
		}
		if p.err == nil && p.deployed != "" {
			s.pointHead(app, p.deployed)
		}
		s.unregister(p, app.ID)
		p.out.end()
		close(p.ended)
	}()
	return p, nil
}

// procs begins the names that gits have in the process table.
const procs = "git."

// exit tells of a git that has ended, unless all went well.
func exit(p *proc.Process) error {
	switch code, signal := p.ExitCode(); {
	case signal != "":
		return fmt.Errorf("ended by %s", signal)
	case code != 0:
		return fmt.Errorf("exit status %d", code)
	}
	return nil
}

// register starts a process unless the server was closed, so that Close and
// Remove miss none.
func (s *Server) register(p *process, appID string, start func() error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return platform.Errorf(platform.Unavailable, "niwa is stopping.")
	}
	if err := start(); err != nil {
		return err
	}
	s.running[p] = appID
	return nil
}

func (s *Server) unregister(p *process, appID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.running, p)
	if p.claimed {
		delete(s.building, appID)
	}
}

// pointHead makes a clone check out the branch that was deployed last.
func (s *Server) pointHead(app platform.App, ref string) {
	if _, err := s.run(context.Background(), nil, "--git-dir="+s.repo(app.ID), "symbolic-ref", "HEAD", ref); err != nil {
		s.Log.Error("pointing HEAD to what was deployed", "app", app.Name, "error", err)
	}
}
