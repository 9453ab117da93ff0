package proc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Process is a child, and everything that came of it.
type Process struct {
	table  *Table
	rec    record
	leader *os.Process
	cmd    *exec.Cmd // nil for one that was adopted
	done   chan struct{}
	code   int
	signal string
	err    error

	mu       sync.Mutex
	ended    bool      // the leader has ended: from then on watch alone sends signals
	deadline time.Time // when what is left is killed; zero before a stop
}

// Pid is the leader's; it is also the number of its session and group.
func (p *Process) Pid() int { return p.rec.PID }

// Done is closed when the leader has ended and nothing it left behind runs.
func (p *Process) Done() <-chan struct{} { return p.done }

// ExitCode says how the leader ended, once Done is closed: its exit status,
// or 128 + n and the name of the signal n that ended it; -1 when it was
// adopted, because its parent alone is told.
func (p *Process) ExitCode() (code int, signal string) { return p.code, p.signal }

// Stop sends SIGTERM to all there is of the child and SIGKILL to what is left
// after grace, and returns when nothing is. A leader that ends first leaves
// the others their grace. When ctx ends Stop returns its error, but the stop
// goes on.
func (p *Process) Stop(ctx context.Context, grace time.Duration) error {
	p.mu.Lock()
	if !p.ended && strike(syscall.SIGTERM, p.rec) != nil {
		_ = syscall.Kill(-p.rec.PID, syscall.SIGTERM) // all that has a name without asking
	}
	p.mu.Unlock()
	p.killAfter(grace)
	return p.wait(ctx)
}

// Shutdown is Stop for a leader that looks after its own children: it sends
// sig to the leader alone.
func (p *Process) Shutdown(ctx context.Context, sig os.Signal, grace time.Duration) error {
	p.mu.Lock()
	var err error
	if !p.ended {
		if err = p.leader.Signal(sig); errors.Is(err, os.ErrProcessDone) {
			err = nil
		}
	}
	p.mu.Unlock()
	if err != nil {
		return fmt.Errorf("signal %s: %w", p.rec.ID, err)
	}
	p.killAfter(grace)
	return p.wait(ctx)
}

// Memory is how many bytes the child and all that came of it use; what they
// share with others counts in part, or in full where the kernel does not say.
func (p *Process) Memory() (int64, error) {
	members, err := family(p.rec)
	if err != nil {
		return 0, fmt.Errorf("memory of %s: %w", p.rec.ID, err)
	}
	var all int64
	for _, m := range members {
		used, err := memory(m.pid)
		if err != nil && syscall.Kill(m.pid, 0) == nil {
			return 0, fmt.Errorf("memory of %s: %w", p.rec.ID, err)
		}
		all += used // nothing of one that has just ended
	}
	return all, nil
}

func (p *Process) wait(ctx context.Context) error {
	select {
	case <-p.done:
		return p.err
	case <-ctx.Done():
		return fmt.Errorf("waiting for %s to end: %w", p.rec.ID, context.Cause(ctx))
	}
}

// killAfter makes sure that nothing is left once grace has passed. Of several
// the earliest counts.
func (p *Process) killAfter(grace time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if at := time.Now().Add(grace); p.deadline.IsZero() || at.Before(p.deadline) {
		p.deadline = at
		time.AfterFunc(grace, p.kill)
	}
}

// kill is safe from killing a stranger, because until ended is set the leader
// of a child has not been reaped and its number cannot be given away; and the
// kernel gives numbers away in turn, so that one which was adopted keeps its
// own for longer than it takes to look.
func (p *Process) kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.ended && strike(syscall.SIGKILL, p.rec) != nil {
		time.AfterFunc(again, p.kill)
	}
}

// again is when the kernel is asked once more, after it could not be.
const again = 100 * time.Millisecond

// watch sees a child to its end.
func (p *Process) watch() {
	awaitExit(&p.rec)
	p.mu.Lock()
	p.ended = true
	p.mu.Unlock()

	p.drain()
	if p.cmd != nil {
		p.collect()
	}
	if err := p.table.forget(p); err != nil {
		p.err = fmt.Errorf("record of %s: %w", p.rec.ID, err)
	}
	close(p.done)
}

// collect takes the leader's remains away.
func (p *Process) collect() {
	_ = p.cmd.Wait() // what it says of the exit is in ProcessState
	p.code = p.cmd.ProcessState.ExitCode()
	if ws, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		p.code, p.signal = 128+int(ws.Signal()), unix.SignalName(ws.Signal())
	}
}

// drain returns when nothing is left but the leader's own remains, which keep
// its number from being reused meanwhile.
func (p *Process) drain() {
	for pause := time.Millisecond; ; pause = min(2*pause, again) {
		if left, err := family(p.rec); err == nil && len(left) == 0 {
			return
		}
		p.mu.Lock()
		due := !time.Now().Before(p.deadline)
		p.mu.Unlock()
		if due {
			_ = strike(syscall.SIGKILL, p.rec) // tried until nothing is left
		}
		time.Sleep(pause)
	}
}
