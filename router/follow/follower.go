package follow

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"niwa/router/route"
)

const (
	firstBackoff = 20 * time.Millisecond
	lastBackoff  = 500 * time.Millisecond
	// readyTime is how long a router waits at its start for a platform that
	// took its connection and says nothing.
	readyTime = 2 * time.Second
	// partingTime is how long it may take to deliver the last log lines.
	partingTime = 2 * time.Second
)

// FollowerConfig is what a Follower works with.
type FollowerConfig struct {
	Dial   Dial
	Router Router // which is on record, where it follows by the socket
	Routes *route.Table
	// Drain is the router's own.
	Drain func(ctx context.Context, addrs []string) error
	Log   *slog.Logger
}

// Follower keeps a router's table as new as the platform's.
type Follower struct {
	cfg     FollowerConfig
	backlog *backlog
	ready   chan struct{}
	readied sync.Once
	batches int64
	has     mark // of the platform's table; of one session at a time
}

// NewFollower makes a Follower. Run sets it going.
func NewFollower(cfg FollowerConfig) *Follower {
	return &Follower{cfg: cfg, backlog: newBacklog(), ready: make(chan struct{})}
}

// LogLine takes a log line of an app, to be delivered when it can be. It never
// waits.
func (f *Follower) LogLine(appID string, line []byte) {
	f.backlog.add(Line{App: appID, At: time.Now(), Text: string(line)})
}

// Ready is closed when the table is as new as can be had: the platform's, or
// the one there was when the platform is away.
func (f *Follower) Ready() <-chan struct{} { return f.ready }

func (f *Follower) isReady() { f.readied.Do(func() { close(f.ready) }) }

// Run follows until ctx ends, and delivers the log lines that are left then if
// the platform takes them at once.
func (f *Follower) Run(ctx context.Context) {
	defer time.AfterFunc(readyTime, f.isReady).Stop()
	var told string
	for backoff := firstBackoff; ; {
		began := time.Now()
		err := f.follow(ctx)
		f.isReady()
		if ctx.Err() != nil {
			return
		}
		if errors.Is(err, errBad) && err.Error() != told {
			told = err.Error()
			f.cfg.Log.Warn("the platform's routes cannot be followed; the last good ones stay in use", "error", err)
		}
		if time.Since(began) > time.Second {
			backoff = firstBackoff
		}
		select {
		case <-time.After(backoff/2 + rand.N(backoff)):
		case <-ctx.Done():
			return
		}
		backoff = min(2*backoff, lastBackoff)
	}
}

// follow follows over one connection.
func (f *Follower) follow(ctx context.Context) error {
	conn, err := f.cfg.Dial(ctx)
	if err != nil {
		return err
	}
	s := &session{follower: f, conn: conn, had: f.has, reports: make(chan report, 64), kept: make(chan int64), deaf: make(chan struct{})}
	var end context.CancelFunc
	s.ctx, end = context.WithCancel(context.Background())
	var heard error
	s.work.Go(func() {
		defer close(s.deaf)
		heard = receive(conn, maxOrder, s.obey)
	})
	err = s.speak(ctx)
	end()
	conn.Close()
	s.work.Wait()
	f.backlog.restore(s.unkept)
	return errors.Join(err, heard)
}
