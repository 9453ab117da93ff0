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

// streams is niwa's side of a dyno's input, and of its terminal. The output of
// dynos without one is home's.
type streams struct {
	child    []*os.File // the dyno's side, to be closed when it has been started
	terminal *os.File   // nil when it has none
	in       *os.File   // nil when the dyno has no input; the terminal, where there is one
}

// connect gives cmd its input, or a terminal for everything.
func connect(cmd *exec.Cmd, spec dyno.Spec) (*streams, error) {
	s := &streams{}
	var err error
	switch {
	case spec.TTY != nil:
		err = s.openTerminal(cmd, spec)
	case spec.Stdin != nil:
		err = s.openPipe(cmd)
	}
	if err != nil {
		s.started()
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *streams) openPipe(cmd *exec.Cmd) error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	s.in, s.child = w, append(s.child, r)
	cmd.Stdin = r
	return nil
}

func (s *streams) openTerminal(cmd *exec.Cmd, spec dyno.Spec) error {
	master, slave, err := pty.Open()
	if err != nil {
		return fmt.Errorf("terminal: %w", err)
	}
	s.terminal, s.child = master, append(s.child, slave)
	if err := resize(master, spec.TTY.Window); err != nil {
		return fmt.Errorf("terminal: %w", err)
	}
	if os.Geteuid() == 0 {
		if err := slave.Chown(spec.UID, -1); err != nil {
			return fmt.Errorf("terminal: %w", err)
		}
	}
	if s.terminal, err = pollable(master); err != nil {
		return fmt.Errorf("terminal: %w", err)
	}
	if spec.Stdin != nil {
		s.in = s.terminal
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	attributes(cmd).Setctty = true // with descriptor 0
	return nil
}

func resize(terminal *os.File, w dyno.Window) error {
	conn, err := terminal.SyscallConn()
	if err != nil {
		return err
	}
	size := unix.Winsize{Col: uint16(w.Cols), Row: uint16(w.Rows)}
	controlErr := conn.Control(func(fd uintptr) { err = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &size) })
	if err == nil {
		err = controlErr
	}
	return err
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
	for _, f := range []*os.File{s.terminal, s.in} {
		if f != nil {
			f.Close()
		}
	}
}

// feed copies the input. Its end closes the pipe; a terminal is told by ^D, as
// a person does. A Read of spec.Stdin may be under way when the dyno has ended.
func (s *streams) feed(spec dyno.Spec) {
	if s.in == nil {
		return
	}
	if _, err := io.Copy(s.in, spec.Stdin); err != nil {
		return // the dyno has ended or does not want more
	}
	if spec.TTY == nil {
		s.in.Close()
		return
	}
	_, _ = s.in.Write([]byte{4})
}

// follow gives the terminal its new sizes, which the kernel tells to what is
// in its foreground.
func (s *streams) follow(tty *dyno.TTY, ended <-chan struct{}) {
	for {
		select {
		case window, ok := <-tty.Resized:
			if !ok {
				return
			}
			_ = resize(s.terminal, window) // fails when the dyno has just ended
		case <-ended:
			return
		}
	}
}

// pump hands what is written to the terminal to w. What it returns is closed
// when w has had everything.
func (s *streams) pump(w io.Writer, ended <-chan struct{}) <-chan struct{} {
	go func() {
		<-ended
		_ = s.terminal.SetReadDeadline(time.Unix(1, 0)) // fails when drain has seen the end already
	}()
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		s.drain(w)
	}()
	return drained
}

// drain copies the output until everyone who can write has closed it. Once the
// dyno has ended, which the read deadline says, only what it left is fetched:
// somebody may have got away with the other end. When w fails the rest is
// thrown away, so that the dyno is not stuck on it.
func (s *streams) drain(w io.Writer) {
	buf := make([]byte, 32<<10)
	left := -1 // bytes still to fetch, once the dyno has ended
	for left != 0 {
		n, err := s.terminal.Read(buf)
		if n > 0 && w != nil {
			if _, err := w.Write(buf[:n]); err != nil {
				w = nil
			}
		}
		switch {
		case left > 0:
			left = max(0, left-n)
		case os.IsTimeout(err):
			left, err = 1<<20, nil // more than a terminal holds
		}
		if err != nil {
			return
		}
		if left > 0 {
			_ = s.terminal.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		}
	}
}
