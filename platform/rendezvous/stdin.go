package rendezvous

import (
	"io"
	"time"
)

const (
	eot = 4 // ^D

	// silence is how long nothing may follow a ^D for it to be the end.
	silence = 250 * time.Millisecond
)

// StdinEOF reads what the client pipes into a dyno that has no terminal, up to
// the end of the client's input.
//
// The client has no other sign for that end than ^D, sent as the last byte,
// and the same byte may occur in its input. So one is taken for the end only
// when it is the last of what has come and nothing follows for a quarter of a
// second; otherwise it is passed on. A program that pauses for longer right
// after a ^D of its own is cut off there, as it is on a terminal.
//
// After the end the connection is still read, so that Conn.Gone is closed when
// the client leaves.
func StdinEOF(c *Conn) io.Reader {
	return &stdin{conn: c, buf: make([]byte, 32<<10)}
}

type stdin struct {
	conn  *Conn
	buf   []byte
	ready []byte // part of buf that can be given away
	held  bool   // a ^D has come and may be the end
	err   error  // what to say after ready
}

func (s *stdin) Read(p []byte) (int, error) {
	for len(s.ready) == 0 {
		if s.err != nil {
			return 0, s.err
		}
		s.fetch()
	}
	n := copy(p, s.ready)
	s.ready = s.ready[n:]
	return n, nil
}

func (s *stdin) fetch() {
	if s.held {
		s.decide()
		return
	}
	n, err := s.conn.Read(s.buf)
	s.take(n, err)
}

// decide reads on after a ^D, for as long as it may turn out to be data.
func (s *stdin) decide() {
	s.buf[0] = eot
	_ = s.conn.raw.SetReadDeadline(time.Now().Add(silence))
	n, err := s.conn.Read(s.buf[1:])
	_ = s.conn.raw.SetReadDeadline(time.Time{})
	if n == 0 && err != nil { // silence, or the client has left
		s.err = io.EOF
		go func() { _, _ = io.Copy(io.Discard, s.conn) }()
		return
	}
	s.take(1+n, err)
}

func (s *stdin) take(n int, err error) {
	s.held = n > 0 && s.buf[n-1] == eot
	if s.held {
		n--
	}
	s.ready, s.err = s.buf[:n], err
}
