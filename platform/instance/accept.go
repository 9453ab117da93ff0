package instance

import (
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"
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

// crowded says, and not again for a minute, that clients of apps wait.
func crowded(log *slog.Logger) func(clients int) {
	var mu sync.Mutex
	var said time.Time
	return func(clients int) {
		mu.Lock()
		defer mu.Unlock()
		if time.Since(said) > sayPause {
			log.Warn("there are as many connections as the limit of open files allows, or 100,000; further ones wait", "connections", clients)
			said = time.Now()
		}
	}
}
