package logplex

import (
	"context"
	"iter"
	"time"

	"niwa/platform"
)

// Tail gives the lines that the filter picks: first the last n there are, or
// with after > 0 all those kept with ids above it, and then each new one as
// it comes, none lost or doubled between. It ends when ctx does, when the app
// is deleted and when the logplex closes.
//
// The loop over it may take its time: nobody waits for it. Once it is more
// than Keep lines behind it gets one L11 line in place of those it missed,
// with the id of the last of them.
// Source of the wording: https://github.com/heroku/logplex, logplex_session.
func (l *Logplex) Tail(ctx context.Context, appID string, f Filter, n int, after uint64) iter.Seq[platform.LogLine] {
	return func(yield func(platform.LogLine) bool) {
		a := l.app(appID)
		if a == nil {
			return
		}
		a.flush(ctx)
		c := cursor{filter: f, id: a.start(f, n, after), seen: time.Now()}
		for ctx.Err() == nil {
			lines, changed := a.after(c.id)
			if !c.pass(ctx, lines, yield) {
				return
			}
			if len(lines) > 0 {
				continue
			}
			select {
			case <-changed:
			case <-ctx.Done():
			case <-a.ended:
				if lines, _ = a.after(c.id); len(lines) == 0 {
					return
				}
			}
		}
	}
}

// start returns the id after which a tail begins.
func (a *appLog) start(f Filter, n int, after uint64) uint64 {
	if after > 0 {
		return min(after, a.newest()) // an id of another log means "from now on"
	}
	newest := a.newest()
	if backlog := a.recent(f, n); len(backlog) > 0 {
		return backlog[0].ID - 1
	}
	return newest
}

// cursor is where a tail is.
type cursor struct {
	filter Filter
	id     uint64    // of the last line passed
	seen   time.Time // of the last line passed
}

// pass yields the lines that the filter picks, and a notice first when some
// before them are gone. It returns false when the loop is over.
func (c *cursor) pass(ctx context.Context, lines []platform.LogLine, yield func(platform.LogLine) bool) bool {
	if len(lines) > 0 && lines[0].ID > c.id+1 {
		gone := notice("Error L11 (Tail buffer overflow) -> This tail session dropped %d messages since %s.",
			lines[0].ID-c.id-1, stamp(c.seen))
		gone.ID = lines[0].ID - 1
		if !yield(gone) {
			return false
		}
	}
	for _, line := range lines {
		if ctx.Err() != nil {
			return false
		}
		c.id, c.seen = line.ID, line.Time
		if c.filter.Match(line) && !yield(line) {
			return false
		}
	}
	return true
}
