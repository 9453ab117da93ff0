package follow

import "sync"

const (
	// maxBacklog is how many bytes of log lines a router keeps for a platform
	// that is away: some 30,000 lines.
	maxBacklog = 8 << 20
	// maxBatch is how many go in one message.
	maxBatch = 64 << 10
	// lineCost is what a line takes beside its text.
	lineCost = 64
)

// backlog is the log lines that the platform does not have yet. The oldest
// are dropped when there are too many, and counted by app.
type backlog struct {
	more chan struct{} // holds something when there may be lines to take

	mu    sync.Mutex
	lines []Line
	size  int
	gaps  map[string]*Line // by app
}

func newBacklog() *backlog {
	return &backlog{more: make(chan struct{}, 1), gaps: make(map[string]*Line)}
}

func (b *backlog) add(l Line) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lines = append(b.lines, l)
	b.size += cost(l)
	for b.size > maxBacklog {
		b.drop()
	}
	b.signal()
}

// drop drops the oldest line. b.mu is held.
func (b *backlog) drop() {
	l := b.lines[0]
	b.lines, b.size = b.lines[1:], b.size-cost(l)
	gap := b.gaps[l.App]
	if gap == nil {
		gap = &Line{App: l.App, At: l.At}
		b.gaps[l.App] = gap
	}
	if l.At.Before(gap.At) {
		gap.At = l.At
	}
	gap.Dropped += max(1, l.Dropped)
}

// take takes the oldest lines, a batch of them; what was dropped before them
// comes first.
func (b *backlog) take() []Line {
	b.mu.Lock()
	defer b.mu.Unlock()
	var taken []Line
	size := 0
	for app, gap := range b.gaps {
		taken = append(taken, *gap)
		delete(b.gaps, app)
		if size += cost(*gap); size > maxBatch {
			break
		}
	}
	n := 0
	for n < len(b.lines) && size <= maxBatch {
		size += cost(b.lines[n])
		n++
	}
	for _, l := range b.lines[:n] {
		b.size -= cost(l)
	}
	taken = append(taken, b.lines[:n]...)
	b.lines = b.lines[n:]
	if len(b.lines)+len(b.gaps) > 0 {
		b.signal()
	}
	return taken
}

// restore puts lines back that were taken.
func (b *backlog) restore(lines []Line) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, l := range lines {
		b.size += cost(l)
	}
	b.lines = append(lines, b.lines...)
	for b.size > maxBacklog {
		b.drop()
	}
	if len(b.lines) > 0 {
		b.signal()
	}
}

func (b *backlog) empty() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.lines)+len(b.gaps) == 0
}

func (b *backlog) signal() {
	select {
	case b.more <- struct{}{}:
	default:
	}
}

func cost(l Line) int { return lineCost + len(l.Text) }
