package platformtest_test

import (
	"bytes"
	"io"
	"sync"
)

// syncBuffer is written by a command and read by a test at the same time.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// copyFrom copies until the other side ends.
func (s *syncBuffer) copyFrom(r io.Reader) {
	_, _ = io.Copy(s, r) // a terminal ends with an error
}
