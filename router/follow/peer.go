package follow

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	"niwa/router/route"
)

// peer is a connected router. What it says is handled on one goroutine; what
// it is told goes through another, so that one which does not listen holds
// nobody up.
type peer struct {
	publisher *Publisher
	conn      net.Conn
	router    Router
	orders    chan order
	gone      chan struct{} // closed when the connection has ended
	ending    sync.Once

	mu     sync.Mutex
	sent   int64         // the newest table that it has
	using  int64         // the newest that it has put into use
	used   chan struct{} // closed, and made anew, when that changes
	drains map[int64]chan error
	last   int64 // id of a drain
}

func newPeer(p *Publisher, conn net.Conn) *peer {
	conn.SetReadDeadline(time.Now().Add(helloTime))
	return &peer{
		publisher: p, conn: conn, orders: make(chan order), gone: make(chan struct{}),
		sent: -1, using: -1, used: make(chan struct{}), drains: make(map[int64]chan error),
	}
}

// handle does what a report asks for. With an error the connection ends.
func (q *peer) handle(r report) error {
	if q.router.ID == "" && r.Hello == nil {
		return fmt.Errorf("%w: it did not say who it is", errBad)
	}
	switch {
	case r.Hello != nil:
		return q.hello(*r.Hello)
	case r.Using != nil:
		return q.uses(*r.Using)
	case r.Drained != nil:
		q.drained(*r.Drained)
	case r.Lines != nil:
		q.publisher.cfg.Lines(r.Lines.Lines)
		return q.tell(q.publisher.ctx, order{Kept: r.Lines.Number})
	}
	return nil
}

func (q *peer) hello(r Router) error {
	if q.router.ID != "" {
		return fmt.Errorf("%w: it said twice who it is", errBad)
	}
	if !runs(q.publisher.cfg.Dir, r.ID) {
		return fmt.Errorf("%w: it says to be router %q, which is not on record", errBad, r.ID)
	}
	q.router = r
	q.publisher.work.Go(q.speak)
	q.publisher.join(q)
	return q.conn.SetReadDeadline(time.Time{})
}

// uses takes note of the table that the router acknowledges.
func (q *peer) uses(number int64) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if number > q.sent {
		return fmt.Errorf("%w: it acknowledged a table that it was not sent", errBad)
	}
	q.using = number
	close(q.used)
	q.used = make(chan struct{})
	return nil
}

// speak sends the newest table whenever there is a newer one, and orders in
// between.
func (q *peer) speak() {
	defer q.hangUp()
	for {
		table, number, changed := q.publisher.cfg.Routes.Current()
		if err := q.publish(table, number); err != nil {
			return
		}
		for current := true; current; {
			select {
			case <-changed:
				current = false
			case o := <-q.orders:
				if send(q.conn, o) != nil {
					return
				}
			case <-q.gone:
				return
			}
		}
	}
}

func (q *peer) publish(t *route.Table, number int64) error {
	file, err := route.Encode(t)
	if err != nil {
		return err
	}
	q.mu.Lock()
	q.sent = number
	q.mu.Unlock()
	return send(q.conn, order{Table: &tableOrder{Number: number, File: file}})
}

// tell has an order sent.
func (q *peer) tell(ctx context.Context, o order) error {
	select {
	case q.orders <- o:
		return nil
	case <-q.gone:
		return errGone
	case <-ctx.Done():
		return ctx.Err()
	}
}

// drain has the router drain, once it uses a table not older than the one
// with that number. The error is errGone when the connection ended first.
func (q *peer) drain(ctx context.Context, number int64, addrs []string) error {
	if err := q.upTo(ctx, number); err != nil {
		return err
	}
	id, ended := q.begin()
	defer q.drop(id)
	within := time.Duration(0)
	if deadline, ok := ctx.Deadline(); ok {
		within = max(time.Until(deadline), time.Nanosecond)
	}
	if err := q.tell(ctx, order{Drain: &drainOrder{ID: id, Addrs: addrs, Within: within}}); err != nil {
		return err
	}
	select {
	case err := <-ended:
		return err
	case <-q.gone:
		return errGone
	case <-ctx.Done():
		return q.late(ctx.Err())
	}
}

// upTo waits until the router uses a table not older than the one with that
// number.
func (q *peer) upTo(ctx context.Context, number int64) error {
	for {
		q.mu.Lock()
		using, used := q.using, q.used
		q.mu.Unlock()
		if using >= number {
			return nil
		}
		select {
		case <-used:
		case <-q.gone:
			return errGone
		case <-ctx.Done():
			return fmt.Errorf("the router at %s (pid %d) has not taken the new routes: %w", q.router.URL, q.router.PID, ctx.Err())
		}
	}
}

func (q *peer) begin() (id int64, ended <-chan error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.last++
	c := make(chan error, 1)
	q.drains[q.last] = c
	return q.last, c
}

func (q *peer) drop(id int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.drains, id)
}

func (q *peer) drained(d drained) {
	q.mu.Lock()
	defer q.mu.Unlock()
	ended := q.drains[d.ID]
	if ended == nil {
		return // nobody waits any more
	}
	delete(q.drains, d.ID)
	switch {
	case d.Error == "":
		ended <- nil
	case d.Late:
		ended <- q.late(context.DeadlineExceeded)
	default:
		ended <- fmt.Errorf("the router at %s (pid %d): %s", q.router.URL, q.router.PID, d.Error)
	}
}

func (q *peer) late(err error) error {
	return fmt.Errorf("the router at %s (pid %d) has not drained: %w", q.router.URL, q.router.PID, err)
}

// hangUp ends the connection. Who finds it gone finds the router gone too.
func (q *peer) hangUp() {
	q.ending.Do(func() {
		q.publisher.leave(q)
		q.conn.Close()
		close(q.gone)
	})
}
