// Package listener makes one port speak TLS, plain HTTP and CONNECT: the
// first byte decides. The official CLI needs all three of one address: the
// API over HTTP, git over TLS, and, with HTTP_PROXY set, the hosts of
// Heroku's that it cannot be pointed away from through a tunnel, which ends
// here as well.
package listener

import (
	"container/list"
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"time"
)

const (
	// patience is how long a client may take for each step until its first
	// request: the first byte, the TLS handshake, a CONNECT.
	patience = 10 * time.Second
	// maxWaiting is how many clients may be in these steps. One more, and
	// the one that has taken longest is cut off.
	maxWaiting = 512
)

// New makes a listener on top of ln, which it owns from then on. Accept
// returns a *tls.Conn, its handshake done, for a client that speaks TLS, and
// for all others a connection that is none: how servers tell the two apart.
// No client, however slow, holds up another.
func New(ln net.Listener, config *tls.Config) net.Listener {
	l := &listener{
		Listener: ln,
		config:   config,
		ready:    make(chan net.Conn),
		done:     make(chan struct{}),
		waiting:  list.New(),
	}
	l.all.Go(l.acceptAll)
	return l
}

type listener struct {
	net.Listener
	config *tls.Config
	ready  chan net.Conn
	done   chan struct{} // closed by Close
	all    sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	waiting *list.List // of net.Conn, the oldest first
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.ready:
		return conn, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Close ends listening, and every connection that Accept has not returned.
func (l *listener) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return net.ErrClosed
	}
	l.closed = true
	close(l.done)
	for e := l.waiting.Front(); e != nil; e = e.Next() {
		e.Value.(net.Conn).Close()
	}
	l.mu.Unlock()
	err := l.Listener.Close()
	l.all.Wait()
	return err
}

func (l *listener) acceptAll() {
	for {
		conn, err := l.Listener.Accept()
		if err == nil {
			l.all.Go(func() { l.admit(conn) })
			continue
		}
		if errors.Is(err, net.ErrClosed) {
			return
		}
		select { // out of file descriptors, most likely
		case <-time.After(100 * time.Millisecond):
		case <-l.done:
			return
		}
	}
}

// admit brings a connection to its first request and hands it to Accept.
func (l *listener) admit(conn net.Conn) {
	place := l.enter(conn)
	if place == nil {
		return
	}
	defer l.leave(place)
	served, err := l.greet(conn)
	if err == nil {
		err = conn.SetDeadline(time.Time{})
	}
	if err != nil {
		conn.Close()
		return
	}
	select {
	case l.ready <- served:
	case <-l.done:
		conn.Close()
	}
}

// enter makes a connection one that waits; nil when the listener was closed.
func (l *listener) enter(conn net.Conn) *list.Element {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		conn.Close()
		return nil
	}
	if l.waiting.Len() >= maxWaiting {
		l.waiting.Remove(l.waiting.Front()).(net.Conn).Close()
	}
	return l.waiting.PushBack(conn)
}

func (l *listener) leave(place *list.Element) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting.Remove(place) // nothing when enter has removed it
}

// greet finds out what the client speaks and returns what to serve.
func (l *listener) greet(conn net.Conn) (net.Conn, error) {
	first, err := look(conn)
	if err != nil {
		return nil, err
	}
	tunnel, err := first.begins("CONNECT ")
	if err == nil && tunnel {
		if err = first.connect(); err == nil {
			err = first.look()
		}
	}
	if err != nil {
		return nil, err
	}
	if handshake, err := first.begins("\x16"); err != nil || !handshake {
		return first, err
	}
	if err := first.SetDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	secure := tls.Server(first, l.config)
	return secure, secure.Handshake()
}
