// Package rendezvous is where an attached one-off dyno meets the client that
// asked for it. The API hands out rendezvous://HOST:PORT/SECRET; the client
// connects with TLS, says the secret in a line, is greeted with a line, and
// from then on bytes go both ways until one side closes.
//
// The protocol is Heroku's, as its CLI speaks it (heroku/cli,
// src/lib/run/dyno.ts), and bends to that client's habits: it throws away the
// first chunk that it gets, looks for the exit status within one chunk, and
// fails when the end reaches it before it has written its own.
package rendezvous

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"
)

const (
	greeting  = "rendezvous\r\n"
	maxLine   = 256 // bytes kept of what a client says first
	lineLimit = 10 * time.Second
	lineEnd   = 250 * time.Millisecond

	secretBytes  = 24
	secretLength = 2 * secretBytes // hex digits
	maxGuests    = 256             // clients that have yet to say a secret
)

// ErrExpired is why Accept fails when no client came in time.
var ErrExpired = errors.New("no client has connected to the dyno in time")

// ErrClosed is why Accept fails when the server has been closed.
var ErrClosed = errors.New("rendezvous is closed")

// Server keeps the sessions that wait for a client.
type Server struct {
	ln     net.Listener
	places chan struct{} // one is taken per guest
	done   chan struct{}
	served sync.WaitGroup

	mu       sync.Mutex
	sessions map[[sha256.Size]byte]*Session // by a hash, so that a look-up tells nothing by the time it takes
	guests   map[net.Conn]bool
	conns    map[*Conn]bool
}

// New returns a server for clients that connect to ln, which speaks TLS.
func New(ln net.Listener) *Server {
	return &Server{
		ln:       ln,
		places:   make(chan struct{}, maxGuests),
		done:     make(chan struct{}),
		sessions: map[[sha256.Size]byte]*Session{},
		guests:   map[net.Conn]bool{},
		conns:    map[*Conn]bool{},
	}
}

// Serve brings clients to their sessions until Close, and then returns nil.
func (s *Server) Serve() error {
	for {
		s.places <- struct{}{}
		conn, err := s.ln.Accept()
		if err != nil {
			<-s.places
			switch {
			case s.closed():
				return nil
			case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE), errors.Is(err, syscall.ECONNABORTED):
				time.Sleep(50 * time.Millisecond) // it will pass
				continue
			}
			return fmt.Errorf("rendezvous: %w", err)
		}
		if !s.welcome(conn) {
			<-s.places
			conn.Close()
			continue
		}
		go func() {
			defer s.served.Done()
			s.meet(conn)
			s.mu.Lock()
			delete(s.guests, conn)
			s.mu.Unlock()
			<-s.places
		}()
	}
}

func (s *Server) closed() bool {
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}

func (s *Server) welcome(conn net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed() {
		return false
	}
	s.guests[conn] = true
	s.served.Add(1)
	return true
}

// Close ends Serve, every wait for a client and every connection.
func (s *Server) Close() error {
	s.mu.Lock()
	if s.closed() {
		s.mu.Unlock()
		return nil
	}
	close(s.done)
	waiting := slices.Collect(maps.Values(s.sessions))
	for conn := range s.guests {
		conn.Close()
	}
	conns := slices.Collect(maps.Keys(s.conns))
	s.mu.Unlock()
	for _, session := range waiting {
		session.end(ErrClosed)
	}
	for _, conn := range conns {
		conn.hangUp()
	}
	err := s.ln.Close()
	s.served.Wait()
	return err
}

// meet hears a guest's secret and hands it to the session, or shows it the
// door without a word.
func (s *Server) meet(conn net.Conn) {
	_ = conn.SetDeadline(time.Now().Add(lineLimit))
	r := bufio.NewReaderSize(conn, maxLine)
	secret, err := readSecret(conn, r)
	if err != nil {
		conn.Close()
		return
	}
	session := s.claim(secret)
	if session == nil {
		conn.Close()
		return
	}
	// In a record of its own: the client drops whatever comes with it.
	if _, err := conn.Write([]byte(greeting)); err != nil {
		conn.Close()
		session.end(fmt.Errorf("greet the client: %w", err))
		return
	}
	_ = conn.SetDeadline(time.Time{})
	session.admit(newConn(s, conn, r))
}

func (s *Server) remember(c *Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns[c] = true
}

func (s *Server) forget(c *Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
}

// readSecret reads what has the length of a secret and the CR LF after it.
// Some clients send no line end (heroku3 of PyPI) and wait for the greeting:
// after lineEnd in which nothing came, the secret stands alone. Anything else
// after it is an error.
func readSecret(conn deadliner, r *bufio.Reader) (string, error) {
	secret := make([]byte, secretLength)
	if _, err := io.ReadFull(r, secret); err != nil {
		return "", err
	}
	if err := conn.SetReadDeadline(time.Now().Add(lineEnd)); err != nil {
		return "", err
	}
	end, err := r.Peek(len("\r\n"))
	switch {
	case string(end) == "\r\n":
		_, err = r.Discard(len(end))
		return string(secret), err
	case len(end) == 0 && errors.Is(err, os.ErrDeadlineExceeded):
		return string(secret), nil
	}
	return "", errors.New("the secret is not followed by CR LF")
}

// deadliner is the part of a net.Conn that readSecret needs beside its bytes.
type deadliner interface{ SetReadDeadline(time.Time) error }

// claim returns the session of a secret, once.
func (s *Server) claim(secret string) *Session {
	key := sha256.Sum256([]byte(secret))
	s.mu.Lock()
	defer s.mu.Unlock()
	session := s.sessions[key]
	delete(s.sessions, key)
	return session
}

// Session waits for one client.
type Session struct {
	// Secret is what the client has to say: the path of the attach URL.
	Secret string

	server *Server
	expiry *time.Timer
	conn   chan *Conn // holds one
	mu     sync.Mutex
	ended  chan struct{}
	err    error
}

// Open makes a session that a client can come to, once, within ttl.
func (s *Server) Open(ttl time.Duration) *Session {
	var secret [secretBytes]byte
	_, _ = rand.Read(secret[:]) // never fails
	session := &Session{
		Secret: hex.EncodeToString(secret[:]),
		server: s,
		conn:   make(chan *Conn, 1),
		ended:  make(chan struct{}),
	}
	s.mu.Lock()
	s.sessions[sha256.Sum256([]byte(session.Secret))] = session
	s.mu.Unlock()
	session.expiry = time.AfterFunc(ttl, func() { session.end(ErrExpired) })
	if s.closed() {
		session.end(ErrClosed)
	}
	return session
}

// Accept returns the client's connection once it has come and been greeted.
// When ctx ends first so does the session.
func (s *Session) Accept(ctx context.Context) (*Conn, error) {
	select {
	case conn := <-s.conn:
		s.expiry.Stop()
		return conn, nil
	case <-s.ended:
	case <-ctx.Done():
		s.end(context.Cause(ctx))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return nil, s.err
}

// end forgets the session, and closes the client that nobody has accepted.
func (s *Session) end(err error) {
	s.server.claim(s.Secret)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return
	}
	s.err = err
	close(s.ended)
	select {
	case conn := <-s.conn:
		conn.hangUp()
	default:
	}
}

func (s *Session) admit(conn *Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		conn.hangUp()
		return
	}
	s.conn <- conn
}
