package follow

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"niwa/router/route"
)

// session is a connection to the platform.
type session struct {
	follower *Follower
	conn     net.Conn
	had      mark            // when it began
	ctx      context.Context // ends with it
	work     sync.WaitGroup
	reports  chan report
	kept     chan int64    // batches that the platform acknowledges
	deaf     chan struct{} // closed when the platform says no more
	unkept   []Line        // sent, and not acknowledged
}

// speak says who the router is, and sends reports and log lines until the
// platform has gone or ctx ends and all lines are delivered.
func (s *session) speak(ctx context.Context) error {
	f := s.follower
	if err := send(s.conn, report{Hello: &hello{f.cfg.Router, s.had}}); err != nil {
		return err
	}
	parting := ctx.Done()
	for {
		if ctx.Err() != nil && s.unkept == nil && f.backlog.empty() {
			return nil
		}
		more := f.backlog.more
		if s.unkept != nil {
			more = nil // one batch at a time
		}
		var err error
		select {
		case r := <-s.reports:
			err = send(s.conn, r)
		case <-more:
			err = s.sendLines()
		case number := <-s.kept:
			if number == f.batches {
				s.unkept = nil
			}
		case <-parting:
			parting = nil
			defer time.AfterFunc(partingTime, func() { s.conn.Close() }).Stop()
		case <-s.deaf:
			return nil // the listener knows why
		}
		if err != nil {
			return err
		}
	}
}

func (s *session) sendLines() error {
	f := s.follower
	if s.unkept = f.backlog.take(); s.unkept == nil {
		return nil
	}
	f.batches++
	return send(s.conn, report{Lines: &batch{Number: f.batches, Lines: s.unkept}})
}

// obey carries out an order. With an error the connection ends.
func (s *session) obey(o order) error {
	switch {
	case o.Part != nil:
		s.follower.has = mark{} // until all parts are here
		return s.used(s.follower.cfg.Routes.ApplyPart(*o.Part))
	case o.News != nil:
		if err := s.used(s.follower.cfg.Routes.Apply(o.News.Changes)); err != nil {
			return err
		}
		s.follower.has = o.News.At
		s.follower.isReady()
		s.report(report{Using: &o.News.At.Number})
	case o.Drain != nil:
		s.work.Go(func() { s.drain(*o.Drain) })
	case o.Kept != 0:
		select {
		case s.kept <- o.Kept:
		case <-s.ctx.Done():
		}
	}
	return nil
}

// used says what is the matter with routes that came. What could not be kept is
// in use all the same.
func (s *session) used(err error) error {
	if errors.Is(err, route.ErrCorrupt) {
		return fmt.Errorf("%w: %w", errBad, err)
	}
	if err != nil {
		s.follower.cfg.Log.Warn("following the platform's routes", "error", err)
	}
	return nil
}

// report has a report sent, unless the session is over.
func (s *session) report(r report) {
	select {
	case s.reports <- r:
	case <-s.ctx.Done():
	}
}

func (s *session) drain(d drainOrder) {
	ctx, cancel := s.ctx, context.CancelFunc(func() {})
	if d.Within > 0 {
		ctx, cancel = context.WithTimeout(s.ctx, d.Within)
	}
	defer cancel()
	answer := drained{ID: d.ID}
	if err := s.follower.cfg.Drain(ctx, d.Addrs); err != nil {
		answer.Error, answer.Late = err.Error(), errors.Is(err, context.DeadlineExceeded)
	}
	s.report(report{Drained: &answer})
}
