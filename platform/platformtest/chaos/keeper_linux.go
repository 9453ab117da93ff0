package chaos

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// order has the keeper start a program.
type order struct {
	Args []string
	Env  []string
	Log  string // file for what it prints; it is added to
}

// Keep is what the machine's init is to a niwa that was killed: whatever it
// leaves becomes a child of the keeper, however it has changed its session and
// its environment. So the keeper's descendants are all there is of the
// platform, and nothing else is among them. It starts what it reads from
// stdin, answers each order with the number of the process, and at the end of
// stdin ends all that is left.
func Keep(stdin io.Reader, stdout io.Writer) error {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return err
	}
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGCHLD)
	go func() {
		for range ended {
			for pid := 1; pid > 0; {
				pid, _ = syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
			}
		}
	}()
	orders := json.NewDecoder(stdin)
	for {
		var o order
		if err := orders.Decode(&o); errors.Is(err, io.EOF) {
			return endAll(os.Getpid())
		} else if err != nil {
			return errors.Join(err, endAll(os.Getpid()))
		}
		pid, err := o.start()
		if err != nil {
			return errors.Join(err, endAll(os.Getpid()))
		}
		fmt.Fprintln(stdout, pid)
	}
}

// start does not use exec.Cmd, whose Wait the keeper's own would come before.
func (o order) start() (pid int, err error) {
	log, err := os.OpenFile(o.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, err
	}
	defer log.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		return 0, err
	}
	defer null.Close()
	program, err := exec.LookPath(o.Args[0])
	if err != nil {
		return 0, err
	}
	return syscall.ForkExec(program, o.Args, &syscall.ProcAttr{
		Env: o.Env, Files: []uintptr{null.Fd(), log.Fd(), log.Fd()}, Sys: &syscall.SysProcAttr{Setsid: true},
	})
}

// endAll kills the descendants of a process until there are none.
func endAll(pid int) error {
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		left := descendants(pid)
		if len(left) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d processes do not end when killed: %v", len(left), left[0])
		}
		for _, p := range left {
			_ = syscall.Kill(p.pid, syscall.SIGKILL) // gone already, at worst
		}
	}
}

// keeper is the harness's end of Keep.
type keeper struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout io.Reader
}

// hire starts a keeper: command is a program that calls Keep.
func hire(command []string) (*keeper, error) {
	k := &keeper{cmd: exec.Command(command[0], command[1:]...)}
	k.cmd.Stderr = os.Stderr
	k.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // Ctrl-C is for the test, whose end is the end of stdin
	var err error
	if k.stdin, err = k.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if k.stdout, err = k.cmd.StdoutPipe(); err != nil {
		return nil, err
	}
	return k, k.cmd.Start()
}

func (k *keeper) start(o order) (pid int, err error) {
	if err := json.NewEncoder(k.stdin).Encode(o); err != nil {
		return 0, err
	}
	_, err = fmt.Fscanln(k.stdout, &pid)
	return pid, err
}

func (k *keeper) pid() int { return k.cmd.Process.Pid }

// dismiss ends all that the keeper has.
func (k *keeper) dismiss() error { return errors.Join(k.stdin.Close(), k.cmd.Wait()) }
