package home

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// room is how much a dyno can write while nobody reads: the most that
	// Linux gives a pipe by default. Where it gives less, that has to do.
	room = 1 << 20

	// chunk is what is read at a time. As much as a pipe holds at first, so
	// that what was written in one piece is handed on in one.
	chunk = 64 << 10
)

// Pump hands what the dyno writes to w, beginning with what nobody has read
// yet. Once ended is closed it fetches the rest, and no more than that: a
// process that got away may hold the pipe. The channel it returns is closed
// when w has had everything. When w fails the rest is thrown away, so that
// the dyno is not stuck on it.
func (h *Home) Pump(w io.Writer, ended <-chan struct{}) (<-chan struct{}, error) {
	// Open for writing too, the pipe has no end before the dyno's first process
	// has opened it.
	f, err := os.OpenFile(h.Out, os.O_RDWR|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err != nil || info.Mode().Type() != fs.ModeNamedPipe {
		f.Close()
		return nil, fmt.Errorf("%s is no named pipe any more (%v)", h.Out, err)
	}
	widen(f)
	drained := make(chan struct{})
	go func() {
		<-ended
		_ = f.SetReadDeadline(time.Unix(1, 0)) // wakes drain
	}()
	go func() {
		defer close(drained)
		defer f.Close()
		drain(f, w)
	}()
	return drained, nil
}

// drain copies until the read deadline, and then what is left in the pipe.
func drain(f *os.File, w io.Writer) {
	buf := make([]byte, chunk)
	left := -1 // bytes still to fetch, once the dyno has ended
	for left != 0 {
		if left > 0 { // they are there, unless a process that got away took them
			_ = f.SetReadDeadline(time.Now().Add(time.Second))
		}
		n, err := f.Read(buf[:min(chunk, uint(left))])
		if n > 0 && w != nil {
			if _, err := w.Write(buf[:n]); err != nil {
				w = nil
			}
		}
		switch {
		case left > 0:
			left -= n
		case os.IsTimeout(err):
			left, err = unread(f), nil
		}
		if err != nil {
			return
		}
	}
}

// unread is how many bytes wait in the pipe.
func unread(f *os.File) (n int) {
	conn, err := f.SyscallConn()
	if err != nil {
		return 0
	}
	_ = conn.Control(func(fd uintptr) { n, _ = unix.IoctlGetInt(int(fd), inQueue) })
	return n
}
