package bench

import (
	"bufio"
	"io"
	"sync"
	"time"
)

// log writes lines to a file as a router that runs alone would keep them:
// together, once a second.
type log struct {
	mu  sync.Mutex
	out *bufio.Writer
}

func newLog(w io.Writer) *log {
	l := &log{out: bufio.NewWriterSize(w, 64<<10)}
	go func() {
		for range time.Tick(time.Second) {
			l.mu.Lock()
			l.out.Flush()
			l.mu.Unlock()
		}
	}()
	return l
}

func (l *log) line(_ string, line []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.out.Write(line)
	l.out.WriteByte('\n')
}
