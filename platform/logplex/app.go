package logplex

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"niwa/platform"
)

const (
	queueSize = 1024        // lines on their way to the disk
	batchSize = 256         // lines in one write
	patience  = time.Second // how long a writer waits for a place in the queue
)

// appLog is the log of one app.
type appLog struct {
	queue chan entry
	stop  chan struct{} // closed to end keep
	ended chan struct{} // closed when keep has ended

	dropped atomic.Int64 // lines that found no place in the queue
	since   atomic.Int64 // Unix microseconds of the first of them

	ready    sync.Once // reads the files and starts keep
	stopping sync.Once
	segments *segments
	report   func(error)

	// What follows is keep's own.
	saved   uint64           // id of the newest line on disk
	failing bool             // the last write failed
	tried   time.Time        // when
	again   <-chan time.Time // when to try again

	mu      sync.Mutex
	lines   []platform.LogLine // ids rise; never changed in place, so that parts can be handed out
	last    uint64             // id of the newest line ever
	changed chan struct{}      // closed and replaced when lines were added
}

// entry is a line to keep, or a mark that says when all before it were.
type entry struct {
	line platform.LogLine
	mark chan<- struct{}
}

func newAppLog(dir string, report func(error)) *appLog {
	return &appLog{
		queue:    make(chan entry, queueSize),
		stop:     make(chan struct{}),
		ended:    make(chan struct{}),
		changed:  make(chan struct{}),
		segments: &segments{dir: dir},
		report:   report,
	}
}

// open reads what was kept and starts to keep more. Everything else calls it
// first.
func (a *appLog) open() {
	a.ready.Do(func() {
		lines, err := a.segments.load()
		if err != nil {
			a.failing = true
			a.report(fmt.Errorf("reading the log in %s: %w", a.segments.dir, err))
		}
		if n := len(lines); n > 0 {
			a.lines, a.last = lines, lines[n-1].ID
		}
		a.saved = a.last
		go a.keep()
	})
}

// add queues a line. Its id is given when it is kept.
func (a *appLog) add(line platform.LogLine) {
	a.open()
	e := entry{line: line}
	select {
	case a.queue <- e:
		return
	default:
	}
	if a.dropped.Load() == 0 { // once the disk stands still, no line waits for it again
		timeout := time.NewTimer(patience)
		defer timeout.Stop()
		select {
		case a.queue <- e:
			return
		case <-a.stop:
			return
		case <-timeout.C:
		}
	}
	if a.dropped.Add(1) == 1 {
		a.since.Store(line.Time.UnixMicro())
	}
}

// flush returns when every line added before it can be read, or the disk has
// stood still for ten seconds.
func (a *appLog) flush(ctx context.Context) {
	a.open()
	ctx, cancel := context.WithTimeout(ctx, 10*patience)
	defer cancel()
	kept := make(chan struct{})
	select {
	case a.queue <- entry{mark: kept}:
	case <-a.ended:
		return
	case <-ctx.Done():
		return
	}
	select {
	case <-kept:
	case <-a.ended:
	case <-ctx.Done():
	}
}

// close keeps what is queued and ends.
func (a *appLog) close() error {
	a.open()
	a.stopping.Do(func() { close(a.stop) })
	<-a.ended
	return a.segments.close()
}

// keep numbers, writes and publishes lines until close.
func (a *appLog) keep() {
	defer close(a.ended)
	for {
		select {
		case e := <-a.queue:
			a.keepBatch(e)
		case <-a.again:
			a.save(nil)
		case <-a.stop:
			for {
				select {
				case e := <-a.queue:
					a.keepBatch(e)
				default:
					a.tried = time.Time{}
					a.save(nil)
					return
				}
			}
		}
	}
}

// keepBatch keeps the first entry and those that wait behind it.
func (a *appLog) keepBatch(e entry) {
	var lines []platform.LogLine
	var marks []chan<- struct{}
	for more := true; more; {
		if e.mark != nil {
			marks = append(marks, e.mark)
		} else {
			lines = append(lines, e.line)
		}
		if more = len(lines)+len(marks) < batchSize; !more {
			break
		}
		select {
		case e = <-a.queue:
		default:
			more = false
		}
	}
	if n := a.dropped.Swap(0); n > 0 {
		lines = append(lines, notice("Error L12: %d messages dropped since %s.", n, stamp(time.UnixMicro(a.since.Load()))))
	}
	if len(lines) > 0 {
		a.number(lines)
		a.save(lines)
		a.publish(lines)
	}
	for _, mark := range marks {
		close(mark)
	}
}

func (a *appLog) number(lines []platform.LogLine) {
	last := a.last // written only here and in open
	for i := range lines {
		last++
		lines[i].ID = last
	}
}

// save writes lines to disk, after those that a full disk has refused and
// memory still has. It says so when that begins to fail or to work again, and
// leaves a disk that fails alone for a while.
func (a *appLog) save(lines []platform.LogLine) {
	if a.failing && time.Since(a.tried) < patience {
		return
	}
	refused, _ := a.after(a.saved)
	lines = append(refused, lines...)
	if len(lines) == 0 {
		return
	}
	err := a.segments.append(lines)
	switch {
	case err != nil && !a.failing:
		a.report(fmt.Errorf("the log in %s is kept in memory only: %w", a.segments.dir, err))
	case err == nil && a.failing:
		a.report(fmt.Errorf("the log in %s is written to disk again", a.segments.dir))
	}
	if a.failing = err != nil; a.failing {
		a.tried, a.again = time.Now(), time.After(patience)
	} else {
		a.saved, a.again = lines[len(lines)-1].ID, nil
	}
}

func (a *appLog) publish(lines []platform.LogLine) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.lines) >= 2*Keep {
		a.lines = append(make([]platform.LogLine, 0, 2*Keep+batchSize), a.lines[len(a.lines)-Keep:]...)
	}
	a.lines = append(a.lines, lines...)
	a.last = lines[len(lines)-1].ID
	close(a.changed)
	a.changed = make(chan struct{})
}

// recent returns the last n lines, of those that can be read back, that the
// filter picks.
func (a *appLog) recent(f Filter, n int) []platform.LogLine {
	a.mu.Lock()
	lines := a.lines[max(0, len(a.lines)-Keep):]
	a.mu.Unlock()

	var picked []platform.LogLine
	for i := len(lines) - 1; i >= 0 && len(picked) < n; i-- {
		if f.Match(lines[i]) {
			picked = append(picked, lines[i])
		}
	}
	slices.Reverse(picked)
	return picked
}

// after returns the lines with ids above id, and a channel that is closed
// when there are more.
func (a *appLog) after(id uint64) (lines []platform.LogLine, changed <-chan struct{}) {
	a.mu.Lock()
	defer a.mu.Unlock()
	i, _ := slices.BinarySearchFunc(a.lines, id+1, func(line platform.LogLine, id uint64) int {
		switch {
		case line.ID < id:
			return -1
		case line.ID > id:
			return 1
		}
		return 0
	})
	return slices.Clip(a.lines[i:]), a.changed
}

func (a *appLog) newest() uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.last
}

// notice is a line that logplex itself has to say.
func notice(format string, args ...any) platform.LogLine {
	return platform.LogLine{Time: time.Now().UTC(), Source: "heroku", Dyno: "logplex", Text: fmt.Sprintf(format, args...)}
}
