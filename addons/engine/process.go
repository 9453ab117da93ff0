package engine

import (
	"bytes"
	"context"
	"errors"
	"os"
	"time"

	"niwa/platform/proc"
)

// processes runs tasks as processes of this machine.
type processes struct{ *Home }

// Launch starts a process. The log of the run before is kept beside its own,
// as .old.
func (p processes) Launch(ctx context.Context, t Task) (Child, error) {
	if err := p.sweepContainers(ctx, t.ID); err != nil {
		p.Log.Warn("a container of an earlier run may be left", "server", t.ID, "error", err) // then it has the port
	}
	cmd := p.User.Command(t.Dir, t.Args[0], t.Args[1:]...)
	config := digest(cmd.Args, cmd.Env, t.Config)
	if running, ok := p.Procs.Adopt(t.ID); ok {
		if last, err := os.ReadFile(t.Log + ".config"); err == nil && string(last) == config {
			return process{running, t}, nil
		}
		if err := running.Shutdown(ctx, t.Signal, stopGrace); err != nil {
			return nil, err
		}
	}
	if t.Check != nil {
		if err := t.Check(); err != nil {
			return nil, err
		}
	}
	if err := os.Rename(t.Log, t.Log+".old"); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	log, err := os.OpenFile(t.Log, os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close() // the child has its own
	if err := os.WriteFile(t.Log+".config", []byte(config), 0o600); err != nil {
		return nil, err
	}
	cmd.Stdout, cmd.Stderr = log, log
	running, err := p.Procs.Start(t.ID, cmd)
	if err != nil {
		return nil, err
	}
	return process{running, t}, nil
}

type process struct {
	*proc.Process
	task Task
}

func (p process) Status() int {
	code, _ := p.ExitCode()
	return code
}

func (p process) Stop(ctx context.Context, grace time.Duration) error {
	if grace == 0 {
		return p.Process.Stop(ctx, 0)
	}
	return p.Shutdown(ctx, p.task.Signal, grace)
}

func (p process) Tail() string {
	data, err := os.ReadFile(p.task.Log)
	if err != nil {
		return err.Error()
	}
	return lastLines(data)
}

// lastLines is the end of a log on one line.
func lastLines(data []byte) string {
	lines := bytes.Split(bytes.TrimSpace(data), []byte("\n"))
	return string(bytes.Join(lines[max(0, len(lines)-5):], []byte("; ")))
}
