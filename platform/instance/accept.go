package instance

import (
	"errors"
	"log/slog"
	"net"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// patient is a listener that outlives what Accept fails for, most likely that
// no more files can be opened: its server would end, or ask again at once and
// for ever.
type patient struct {
	net.Listener
	name   string
	log    *slog.Logger
	said   time.Time // when it was last told of; Accept's own
	closed chan struct{}
	once   sync.Once
}

func newPatient(ln net.Listener, name string, log *slog.Logger) *patient {
	return &patient{Listener: ln, name: name, log: log, closed: make(chan struct{})}
}

const (
	acceptPause = 100 * time.Millisecond // before Accept is tried again
	sayPause    = time.Minute            // before the same is said again
)

// Accept returns an error only when the listener was closed.
func (p *patient) Accept() (net.Conn, error) {
	for {
		conn, err := p.Listener.Accept()
		if err == nil || errors.Is(err, net.ErrClosed) {
			return conn, err
		}
		if time.Since(p.said) > sayPause {
			p.log.Error("no connection can be taken just now; those who come wait", "listener", p.name, "error", err)
			p.said = time.Now()
		}
		select {
		case <-time.After(acceptPause):
		case <-p.closed:
			return nil, net.ErrClosed
		}
	}
}

// Close ends Accept.
func (p *patient) Close() error {
	p.once.Do(func() { close(p.closed) })
	return p.Listener.Close()
}

// places are how many connections there may be at a time.
type places chan struct{}

// appPlaces are the places that clients of apps have: of the files that may be
// open the platform keeps some to itself, so that nobody's flood of
// connections keeps the API from answering and dynos from starting, and each
// client takes two, its own connection and one to a dyno.
func appPlaces() places {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil || limit.Cur > 1<<20 {
		return make(places, 1<<19)
	}
	ours := max(128, limit.Cur/4)
	return make(places, max(16, (int(limit.Cur)-int(ours))/2))
}

// limited is a listener whose connections each take a place, and wait for one.
type limited struct {
	*patient
	places places
	full   time.Time // when it was last told of; Accept's own
}

// Accept takes a connection when there is a place for it. Until then it waits
// where the system keeps those that nobody has taken.
func (l *limited) Accept() (net.Conn, error) {
	select {
	case l.places <- struct{}{}:
	default:
		if time.Since(l.full) > sayPause {
			l.log.Warn("there are as many connections as the limit of open files allows; further ones wait", "listener", l.name, "connections", cap(l.places))
			l.full = time.Now()
		}
		select {
		case l.places <- struct{}{}:
		case <-l.closed:
			return nil, net.ErrClosed
		}
	}
	conn, err := l.patient.Accept()
	if err != nil {
		<-l.places
		return nil, err
	}
	return &placed{Conn: conn, leave: sync.OnceFunc(func() { <-l.places })}, nil
}

// placed is a connection that has a place until it is closed.
type placed struct {
	net.Conn
	leave func()
}

// Close closes the connection.
func (p *placed) Close() error {
	defer p.leave()
	return p.Conn.Close()
}

// SyscallConn has the router go past the poller, as with any connection of TCP.
func (p *placed) SyscallConn() (syscall.RawConn, error) {
	raw, ok := p.Conn.(syscall.Conn)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	return raw.SyscallConn()
}

// CloseWrite ends what is written, as a tunnel does that the other side ended.
func (p *placed) CloseWrite() error {
	half, ok := p.Conn.(interface{ CloseWrite() error })
	if !ok {
		return errors.ErrUnsupported
	}
	return half.CloseWrite()
}
