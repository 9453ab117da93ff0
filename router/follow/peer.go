package follow

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"niwa/router/route"
)

// newsStep is how many apps are told of at once.
const newsStep = 1000

// peer is a connected router. What it says is handled on one goroutine; what
// it is told goes through another, so that one which does not listen holds
// nobody up.
type peer struct {
	publisher *Publisher
	conn      net.Conn
	far       bool // it came by URL, and has no record
	router    Router
	orders    chan order
	gone      chan struct{} // closed when the connection has ended
	ending    sync.Once

	mu     sync.Mutex
	sent   int64         // the newest change that it was told of
	using  int64         // the newest that it has put into use
	used   chan struct{} // closed, and made anew, when that changes
	drains map[int64]chan error
	last   int64 // id of a drain
}

func newPeer(p *Publisher, conn net.Conn, far bool) *peer {
	conn.SetReadDeadline(time.Now().Add(helloTime))
	return &peer{
		publisher: p, conn: conn, far: far, orders: make(chan order), gone: make(chan struct{}),
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

func (q *peer) hello(h hello) error {
	r := h.Router
	if q.router.ID != "" {
		return fmt.Errorf("%w: it said twice who it is", errBad)
	}
	if q.far == runs(q.publisher.cfg.Dir, r.ID) || uuid.Validate(r.ID) != nil {
		return fmt.Errorf("%w: it says to be router %q, which is not on record", errBad, r.ID)
	}
	q.router = r
	has := int64(-1)
	if h.Has.Platform == q.publisher.id {
		has = min(h.Has.Number, q.publisher.cfg.Routes.Number())
	}
	q.publisher.work.Go(func() { q.speak(has) })
	q.publisher.join(q)
	return q.conn.SetReadDeadline(time.Time{})
}

// uses takes note of the change that the router acknowledges.
func (q *peer) uses(number int64) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if number > q.sent {
		return fmt.Errorf("%w: it acknowledged a change that it was not told of", errBad)
	}
	q.using = number
	close(q.used)
	q.used = make(chan struct{})
	return nil
}

// speak sends what changes in the table after the change with that number, and
// orders in between.
func (q *peer) speak(number int64) {
	defer q.hangUp()
	for {
		changed := q.publisher.cfg.Routes.Changed()
		to, err := q.inform(number)
		if err != nil {
			return
		}
		number = to
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

// inform sends what changed after the change with that number. It returns the
// one up to which the router knows everything then.
func (q *peer) inform(number int64) (to int64, err error) {
	routes := q.publisher.cfg.Routes
	ids, to, ok := routes.Since(number)
	if !ok {
		return to, q.whole(to)
	}
	for some := range slices.Chunk(ids, newsStep) {
		number += int64(len(some))
		slices.Sort(some)
		if err := q.news(routes.Of(slices.Compact(some)), number); err != nil {
			return 0, err
		}
	}
	if len(ids) == 0 { // it was away, and missed nothing
		err = q.news(nil, to)
	}
	return to, err
}

// whole sends the table, which is at least as new as the change with that
// number. That may take its time, in which there are orders.
func (q *peer) whole(number int64) error {
	for p := range q.publisher.cfg.Routes.Parts() {
		if err := send(q.conn, order{Part: &p}); err != nil {
			return err
		}
		select {
		case o := <-q.orders:
			if err := send(q.conn, o); err != nil {
				return err
			}
		default:
		}
	}
	return q.news(nil, number)
}

func (q *peer) news(c route.Changes, number int64) error {
	q.mu.Lock()
	q.sent = number
	q.mu.Unlock()
	return send(q.conn, order{News: &news{Changes: c, At: mark{q.publisher.id, number}}})
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
