package git

import (
	"errors"
	"io"
	"sync"
)

// spoolSize is how much a git may say before its client takes some.
const spoolSize = 4 << 20

var errSpoolFull = errors.New("git said too much before it had read the request")

// spool is the pipe from a git to its client. Before stream it takes up to
// spoolSize bytes, so that a git may speak while it still reads the request;
// during stream a full spool makes git wait for the client; once the client
// is gone it takes all and keeps nothing, so that git can finish.
type spool struct {
	mu        sync.Mutex
	moved     *sync.Cond
	buf       []byte
	streaming bool // stream was called
	gone      bool // nobody wants the rest
	ended     bool // git will say no more
}

func newSpool() *spool {
	s := &spool{}
	s.moved = sync.NewCond(&s.mu)
	return s
}

func (s *spool) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.buf) >= spoolSize && !s.gone {
		if !s.streaming {
			return 0, errSpoolFull
		}
		s.moved.Wait()
	}
	if !s.gone {
		s.buf = append(s.buf, p...)
		s.moved.Broadcast()
	}
	return len(p), nil
}

// end says that git will say no more.
func (s *spool) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	s.moved.Broadcast()
}

// drop says that nobody wants what git says.
func (s *spool) drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gone, s.buf = true, nil
	s.moved.Broadcast()
}

// speaks waits for the first byte, and returns false when there is none.
func (s *spool) speaks() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.buf) == 0 && !s.ended {
		s.moved.Wait()
	}
	return len(s.buf) > 0
}

// stream passes all to w until git has ended or w fails.
func (s *spool) stream(w io.Writer) error {
	for {
		part, ok := s.take()
		if !ok {
			return nil
		}
		if _, err := w.Write(part); err != nil {
			s.drop()
			return err
		}
	}
}

func (s *spool) take() ([]byte, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.streaming = true
	for len(s.buf) == 0 && !s.ended && !s.gone {
		s.moved.Wait()
	}
	part := s.buf
	s.buf = nil
	s.moved.Broadcast()
	return part, len(part) > 0
}
