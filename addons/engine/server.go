package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// Server is a task that is started again whenever it ends by itself. Its
// exported fields are set before Start and stay as they are.
type Server struct {
	Task
	Launcher Launcher
	Ready    func(ctx context.Context) error // nil once the server answers
	Grace    time.Duration                   // how long it may take to finish
	Log      *slog.Logger

	mu    sync.Mutex
	child Child         // the present run, nil between runs
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
	child, err := s.run(ctx)
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
	if child != nil {
		if err := child.Stop(ctx, s.Grace); err != nil {
			return err
		}
	}
	select {
	case <-s.ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// run starts the server once, and waits until it answers.
func (s *Server) run(ctx context.Context) (Child, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	child, err := s.Launcher.Launch(ctx, s.Task)
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
			err := fmt.Errorf("%s ended with status %d as it started: %s", s.ID, child.Status(), child.Tail())
			return nil, errors.Join(err, child.Stop(context.WithoutCancel(ctx), 0))
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("%s does not answer: %w: %w", s.ID, context.Cause(ctx), err), child.Stop(context.WithoutCancel(ctx), 0))
		case <-time.After(15 * time.Millisecond):
		}
	}
}

// supervise starts the server again after each end that nobody asked for.
func (s *Server) supervise(child Child) {
	defer close(s.ended)
	for child != nil {
		<-child.Done()
		s.down()
		if s.stopping() {
			return
		}
		s.Log.Warn("a data service ended and is started again", "server", s.ID, "status", child.Status())
		child = s.revive()
	}
}

// revive tries until the server runs or is told to stop; then it returns nil.
func (s *Server) revive() Child {
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
			err = child.Stop(context.Background(), s.Grace)
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
func (s *Server) up(child Child) bool {
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
