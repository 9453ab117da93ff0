package engine

import (
	"context"
	"sync"
)

// Locks makes calls for the same key wait for each other. The zero value is
// ready.
type Locks struct {
	mu   sync.Mutex
	held map[string]*lock
}

type lock struct {
	token chan struct{} // holds one value while nobody has the lock
	users int           // who has it or waits for it
}

// Lock waits for the key's turn, or for ctx to end.
func (l *Locks) Lock(ctx context.Context, key string) (unlock func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	k := l.join(key)
	select {
	case <-k.token:
	case <-ctx.Done():
		l.leave(key, k)
		return nil, ctx.Err()
	}
	return func() {
		k.token <- struct{}{}
		l.leave(key, k)
	}, nil
}

func (l *Locks) join(key string) *lock {
	l.mu.Lock()
	defer l.mu.Unlock()
	k := l.held[key]
	if k == nil {
		k = &lock{token: make(chan struct{}, 1)}
		k.token <- struct{}{}
		if l.held == nil {
			l.held = map[string]*lock{}
		}
		l.held[key] = k
	}
	k.users++
	return k
}

func (l *Locks) leave(key string, k *lock) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if k.users--; k.users == 0 {
		delete(l.held, key)
	}
}
