package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"sync"
	"time"

	"niwa/platform/proc"
)

// Server is a child process that is started again whenever it ends by itself.
// It outlives a niwa that is killed, and clients keep their connections: the
// next niwa's Start takes it back.
// Its fields are set before Start and stay as they are.
type Server struct {
	ID      string // names it in the process table and in logs
	Procs   *proc.Table
	LogFile string // what one run writes; the run before is kept beside it as .old
	Log     *slog.Logger

	Command func() (*exec.Cmd, error)       // makes the command of one run
	Ready   func(ctx context.Context) error // nil once the server answers
	Signal  os.Signal                       // asks it to finish cleanly
	Grace   time.Duration                   // how long that may take

	mu    sync.Mutex
	child *proc.Process // the present run, nil between runs
	ready chan struct{} // closed while the present run answers
	quit  chan struct{} // closed by Stop
	ended chan struct{} // closed when nothing is left running
}

// ErrStopped is returned for a server that was told to stop.
var ErrStopped = errors.New("the server has been stopped")

// startTimeout bounds one start, crash recovery included.
const startTimeout = 60 * time.Second

// Start returns when the server answers. When it returns an error nothing is
// left running, and it may be called again.
func (s *Server) Start(ctx context.Context) error {
	s.ready, s.quit, s.ended = make(chan struct{}), make(chan struct{}), make(chan struct{})
	child, err := s.adopt(ctx)
	if child == nil && err == nil {
		child, err = s.run(ctx)
	}
	if err != nil {
		return err
	}
	s.up(child)
	go s.supervise(child)
	return nil
}

// Await returns when the server answers: at once, unless it has crashed and
// is being started again.
func (s *Server) Await(ctx context.Context) error {
	s.mu.Lock()
	ready := s.ready
	s.mu.Unlock()
	select {
	case <-s.quit:
		return ErrStopped
	default:
	}
	select {
	case <-ready:
		return nil
	case <-s.quit:
		return ErrStopped
	case <-ctx.Done():
		return fmt.Errorf("%s is being started again: %w", s.ID, ctx.Err())
	}
}

// Stop ends the server for good: politely, then by force. It is called once.
func (s *Server) Stop(ctx context.Context) error {
	close(s.quit)
	s.mu.Lock()
	child := s.child
	s.mu.Unlock()
	var err error
	if child != nil {
		err = child.Shutdown(ctx, s.Signal, s.Grace)
	}
	select {
	case <-s.ended:
		return err
	case <-ctx.Done():
		return errors.Join(err, ctx.Err())
	}
}

// adopt takes back the server of a niwa that was killed. One that does not
// answer is ended.
func (s *Server) adopt(ctx context.Context) (*proc.Process, error) {
	child, ok := s.Procs.Adopt(s.ID)
	if !ok {
		_, err := s.Procs.Sweep(s.ID)
		return nil, err
	}
	if s.Ready(ctx) == nil {
		return child, nil
	}
	return nil, child.Shutdown(ctx, s.Signal, s.Grace)
}

// run starts the server once, and waits until it answers.
func (s *Server) run(ctx context.Context) (*proc.Process, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	child, err := s.spawn()
	if err != nil {
		return nil, err
	}
	for {
		err := s.Ready(ctx)
		if err == nil {
			return child, nil
		}
		select {
		case <-child.Done():
			code, _ := child.ExitCode()
			return nil, fmt.Errorf("%s ended with status %d as it started: %s", s.ID, code, lastLines(s.LogFile))
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("%s does not answer: %w: %w", s.ID, context.Cause(ctx), err), child.Stop(context.WithoutCancel(ctx), 0))
		case <-time.After(15 * time.Millisecond):
		}
	}
}

func (s *Server) spawn() (*proc.Process, error) {
	cmd, err := s.Command()
	if err != nil {
		return nil, err
	}
	if err := os.Rename(s.LogFile, s.LogFile+".old"); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	log, err := os.OpenFile(s.LogFile, os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close() // the child has its own
	cmd.Stdout, cmd.Stderr = log, log
	return s.Procs.Start(s.ID, cmd)
}

// supervise starts the server again after each end that nobody asked for.
func (s *Server) supervise(child *proc.Process) {
	defer close(s.ended)
	for child != nil {
		<-child.Done()
		s.down()
		if s.stopping() {
			return
		}
		code, signal := child.ExitCode()
		s.Log.Warn("a data service ended and is started again", "server", s.ID, "status", code, "signal", signal)
		child = s.revive()
	}
}

// revive tries until the server runs or is told to stop; then it returns nil.
func (s *Server) revive() *proc.Process {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-s.quit:
			cancel()
		case <-ctx.Done():
		}
	}()
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, 10*time.Second) {
		child, err := s.run(ctx)
		if err == nil && !s.up(child) { // told to stop just as it came up
			err = child.Shutdown(context.Background(), s.Signal, s.Grace)
		} else if err == nil {
			return child
		}
		if s.stopping() {
			return nil
		}
		s.Log.Error("a data service does not start", "server", s.ID, "error", err, "retry", pause)
		select {
		case <-time.After(pause):
		case <-s.quit:
			return nil
		}
	}
}

// up says that the child answers; false when Stop came first and did not see it.
func (s *Server) up(child *proc.Process) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping() {
		return false
	}
	s.child = child
	close(s.ready)
	return true
}

func (s *Server) down() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.child = nil
	s.ready = make(chan struct{})
}

func (s *Server) stopping() bool {
	select {
	case <-s.quit:
		return true
	default:
		return false
	}
}

// lastLines is the end of a log, for an error message.
func lastLines(file string) string {
	data, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	lines := bytes.Split(bytes.TrimSpace(data), []byte("\n"))
	return string(bytes.Join(lines[max(0, len(lines)-5):], []byte("; ")))
}
