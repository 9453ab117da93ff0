package cli

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// await asks done ten times a second until it says yes or fails, and tells it
// for how long it has been asked. Out of patience it returns an error that is
// context.DeadlineExceeded.
func await(ctx context.Context, patience time.Duration, done func(waited time.Duration) (bool, error)) error {
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

// ticker says when a wait is long enough to speak of: after its first second,
// then every so often.
type ticker struct {
	every time.Duration
	next  time.Duration
}

func (t *ticker) due(waited time.Duration) bool {
	if waited < max(t.next, time.Second) {
		return false
	}
	t.next = waited + t.every
	return true
}
