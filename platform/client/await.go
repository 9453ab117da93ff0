package client

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Await asks done ten times a second until it says yes or fails, and tells it
// for how long it has been asked. Out of patience it returns an error that is
// context.DeadlineExceeded.
func Await(ctx context.Context, patience time.Duration, done func(waited time.Duration) (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	start := time.Now()
	for {
		ok, err := done(time.Since(start))
		if ok || err != nil {
			return err
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return fmt.Errorf("gave up after %s: %w", patience, ctx.Err())
			}
			return ctx.Err()
		}
	}
}

// Ticker says when a wait is long enough to speak of: after its first second,
// then every so often.
type Ticker struct {
	Every time.Duration
	next  time.Duration
}

// Due is asked with how long has been waited.
func (t *Ticker) Due(waited time.Duration) bool {
	if waited < max(t.next, time.Second) {
		return false
	}
	t.next = waited + t.Every
	return true
}
