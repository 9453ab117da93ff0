package process

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"niwa/platform/dyno"
)

// streams is niwa's side of what a dyno reads and writes.
type streams struct {
	child []*os.File // the dyno's side, to be closed when it has been started
	out   *os.File
	in    *os.File // nil when the dyno has no input; out, with a terminal
}

// connect gives cmd its input and output: one pipe for stdout and stderr, so
// that order is kept, or a terminal for everything.
func connect(cmd *exec.Cmd, spec dyno.Spec) (*streams, error) {
	s := &streams{}
	var err error
	if spec.TTY != nil {
		err = s.terminal(cmd, spec)
	} else {
		err = s.pipes(cmd, spec)
	}
	if err != nil {
		s.started()
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *streams) pipes(cmd *exec.Cmd, spec dyno.Spec) error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	s.out, s.child = r, append(s.child, w)
	cmd.Stdout, cmd.Stderr = w, w
	if spec.Stdin == nil {
		return nil
	}
	r, w, err = os.Pipe()
	if err != nil {
		return err
	}
	s.in, s.child = w, append(s.child, r)
	cmd.Stdin = r
	return nil
}

func (s *streams) terminal(cmd *exec.Cmd, spec dyno.Spec) error {
	master, slave, err := pty.Open()
	if err != nil {
		return fmt.Errorf("terminal: %w", err)
	}
	s.out, s.child = master, append(s.child, slave)
	size := pty.Winsize{Cols: uint16(spec.TTY.Cols), Rows: uint16(spec.TTY.Rows)}
	if err := pty.Setsize(master, &size); err != nil {
		return fmt.Errorf("terminal: %w", err)
	}
	if c := cmd.SysProcAttr.Credential; c != nil {
		if err := slave.Chown(int(c.Uid), -1); err != nil {
			return fmt.Errorf("terminal: %w", err)
		}
	}
	if s.out, err = pollable(master); err != nil {
		return fmt.Errorf("terminal: %w", err)
	}
	if spec.Stdin != nil {
		s.in = s.out
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr.Setctty = true // with descriptor 0
	return nil
}

// pollable closes f and returns another file for it that honours deadlines.
func pollable(f *os.File) (*os.File, error) {
	defer f.Close()
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, err
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), f.Name()), nil
}

// started closes the dyno's side in niwa.
func (s *streams) started() {
	for _, f := range s.child {
		f.Close()
	}
}

func (s *streams) close() {
	for _, f := range []*os.File{s.out, s.in} {
		if f != nil {
			f.Close()
		}
	}
}

// pump moves bytes until the dyno has ended; what it returns is closed when
// spec.Output has all of them. A Read of spec.Stdin may be under way still.
func (s *streams) pump(spec dyno.Spec, ended <-chan struct{}) <-chan struct{} {
	if s.in != nil {
		go s.feed(spec)
	}
	go func() {
		<-ended
		_ = s.out.SetReadDeadline(time.Unix(1, 0)) // fails when drain has seen the end already
	}()
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		s.drain(spec.Output)
	}()
	return drained
}

// feed copies the input. Its end closes the pipe; a terminal is told by ^D, as
// a person does.
func (s *streams) feed(spec dyno.Spec) {
	if _, err := io.Copy(s.in, spec.Stdin); err != nil {
		return // the dyno has ended or does not want more
	}
	if spec.TTY == nil {
		s.in.Close()
		return
	}
	_, _ = s.in.Write([]byte{4})
}

// pipeSize is what a pipe of Linux holds. Reading as much at a time hands
// writes up to PIPE_BUF on in one piece.
const pipeSize = 64 << 10

// drain copies the output until everyone who can write has closed it. Once the
// dyno has ended, which the read deadline says, only what it left in the pipe
// is fetched: somebody may have got away with the other end. When w fails the
// rest is thrown away, so that the dyno is not stuck on it.
func (s *streams) drain(w io.Writer) {
	buf := make([]byte, pipeSize)
	left := -1 // bytes still to fetch, once the dyno has ended
	for left != 0 {
		n, err := s.out.Read(buf)
		if n > 0 && w != nil {
			if _, err := w.Write(buf[:n]); err != nil {
				w = nil
			}
		}
		switch {
		case left > 0:
			left = max(0, left-n)
		case os.IsTimeout(err):
			left, err = 1<<20, nil // the most that an app can have made of the pipe
		}
		if err != nil {
			return
		}
		if left > 0 {
			_ = s.out.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		}
	}
}
