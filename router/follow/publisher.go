package follow

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"github.com/google/uuid"

	"niwa/router/route"
)

const (
	// helloTime is how long a router has to say who it is.
	helloTime = 5 * time.Second
	// lookTime is how often the platform looks whether a router that is not
	// connected still runs.
	lookTime = 100 * time.Millisecond
)

// Config is what a Publisher works with.
type Config struct {
	Dir    string // as Dir names it
	Routes *route.Table
	// Lines takes the log lines of a router, in order.
	Lines func([]Line)
	Log   *slog.Logger
}

// Publisher tells the routers that run alone which routes there are.
type Publisher struct {
	cfg  Config
	id   string          // of marks
	ctx  context.Context // ends with Close
	stop context.CancelFunc
	work sync.WaitGroup

	mu     sync.Mutex
	peers  map[string]*peer // connected routers, by id
	joined chan struct{}    // closed, and made anew, when one joins
}

// Listen opens the socket that routers come to. Whoever calls it holds the
// data directory: a socket that is there is a dead platform's.
func Listen(dir string) (net.Listener, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return nil, err
	}
	if err := os.Remove(socket(dir)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	ln, err := net.Listen("unix", socket(dir))
	if err != nil {
		return nil, fmt.Errorf("the socket that routers follow (a path of some 100 bytes is too long for one; --data DIR makes it shorter): %w", err)
	}
	if err := os.Chmod(socket(dir), 0o600); err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	return ln, nil
}

// NewPublisher makes a Publisher. Serve sets it going.
func NewPublisher(cfg Config) *Publisher {
	p := &Publisher{cfg: cfg, id: uuid.NewString(), peers: make(map[string]*peer), joined: make(chan struct{})}
	p.ctx, p.stop = context.WithCancel(context.Background())
	return p
}

// Serve takes routers in from ln until Close, when it returns nil, or until ln
// is closed. Begin when the table in use is true: routers that have an older one
// are better off with it until then.
func (p *Publisher) Serve(ln net.Listener) error {
	defer context.AfterFunc(p.ctx, func() { ln.Close() })()
	for {
		conn, err := ln.Accept()
		if p.ctx.Err() != nil {
			return nil
		}
		if errors.Is(err, net.ErrClosed) {
			return err
		}
		if err != nil { // no file descriptor is free, say
			time.Sleep(lookTime)
			continue
		}
		p.begin(func() { p.serve(conn, false) })
	}
}

// Take has a router that came by URL, and may do so, for as long as it is
// connected. It owns the connection.
func (p *Publisher) Take(conn net.Conn) {
	ended := make(chan struct{})
	if p.begin(func() { defer close(ended); p.serve(conn, true) }) {
		<-ended
	}
}

// begin runs f, unless Close was called.
func (p *Publisher) begin(f func()) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ctx.Err() != nil {
		return false
	}
	p.work.Go(f)
	return true
}

// serve has one router for as long as that is connected.
func (p *Publisher) serve(conn net.Conn, far bool) {
	peer := newPeer(p, conn, far)
	defer peer.hangUp()
	defer context.AfterFunc(p.ctx, func() { conn.Close() })()
	if err := receive(conn, maxReport, peer.handle); errors.Is(err, errBad) {
		p.cfg.Log.Warn("what came to the routers' socket was sent away", "router", peer.router.URL, "pid", peer.router.PID, "error", err)
	}
}

// Close lets go of all routers; they serve on with the table they have.
func (p *Publisher) Close() error {
	p.mu.Lock()
	p.stop()
	p.mu.Unlock()
	p.work.Wait()
	return nil
}

// Drain returns once no router that runs alone has, or can come to have, a
// request with a dyno at one of the addresses, of which the table in use must
// not speak. A router that is not connected is waited for, until it has ended;
// one that followed by URL, of which nobody can tell, is not.
func (p *Publisher) Drain(ctx context.Context, addrs []string) error {
	routers, err := Routers(p.cfg.Dir)
	if err != nil {
		return err
	}
	number := p.cfg.Routes.Number()
	far := p.farPeers()
	errs := make([]error, len(routers)+len(far))
	var all sync.WaitGroup
	for i, r := range routers {
		all.Go(func() { errs[i] = p.drain(ctx, r, number, addrs) })
	}
	for i, peer := range far {
		all.Go(func() {
			if err := peer.drain(ctx, number, addrs); !errors.Is(err, errGone) {
				errs[len(routers)+i] = err
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

func (p *Publisher) farPeers() (far []*peer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, peer := range p.peers {
		if peer.far {
			far = append(far, peer)
		}
	}
	return far
}

// drain drains one router, over as many connections as that takes.
func (p *Publisher) drain(ctx context.Context, r Router, number int64, addrs []string) error {
	for {
		peer, joined := p.peer(r.ID)
		if peer != nil {
			err := peer.drain(ctx, number, addrs)
			if err == nil || !errors.Is(err, errGone) {
				return err
			}
			continue
		}
		select {
		case <-joined:
		case <-time.After(lookTime):
			if !runs(p.cfg.Dir, r.ID) {
				return nil
			}
		case <-ctx.Done():
			return fmt.Errorf("the router at %s (pid %d) runs and does not follow: %w", r.URL, r.PID, ctx.Err())
		}
	}
}

// peer finds a connected router, and what is closed when one joins.
func (p *Publisher) peer(id string) (*peer, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.peers[id], p.joined
}

// join takes a router in, in place of an earlier connection of its own.
func (p *Publisher) join(peer *peer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if old := p.peers[peer.router.ID]; old != nil {
		old.conn.Close()
	}
	p.peers[peer.router.ID] = peer
	close(p.joined)
	p.joined = make(chan struct{})
}

func (p *Publisher) leave(peer *peer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.peers[peer.router.ID] == peer {
		delete(p.peers, peer.router.ID)
	}
}
