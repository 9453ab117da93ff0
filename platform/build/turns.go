package build

import (
	"context"
	"sync"
)

// turns lets one at a time through per key.
type turns struct {
	mu    sync.Mutex
	queue map[string]*queue
}

type queue struct {
	turn  chan struct{} // holds a token while somebody has the turn
	users int           // those who have it or wait for it
}

// take waits for the turn of key and returns what gives it back. It calls
// waiting once if somebody else has it.
func (t *turns) take(ctx context.Context, key string, waiting func()) (done func(), err error) {
	q := t.join(key)
	select {
	case q.turn <- struct{}{}:
	default:
		waiting()
		select {
		case q.turn <- struct{}{}:
		case <-ctx.Done():
			t.leave(key)
			return nil, ctx.Err()
		}
	}
	return func() {
		<-q.turn
		t.leave(key)
	}, nil
}

func (t *turns) join(key string) *queue {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.queue == nil {
		t.queue = map[string]*queue{}
	}
	q := t.queue[key]
	if q == nil {
		q = &queue{turn: make(chan struct{}, 1)}
		t.queue[key] = q
	}
	q.users++
	return q
}

func (t *turns) leave(key string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if q := t.queue[key]; q.users > 1 {
		q.users--
	} else {
		delete(t.queue, key)
	}
}
