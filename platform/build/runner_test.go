package build

import (
	"context"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	"niwa/platform/dyno"
)

// execRunner runs dynos as plain process groups: just enough to build.
type execRunner struct {
	mu   sync.Mutex
	cmds map[string]*running
}

type running struct {
	cmd  *exec.Cmd
	done chan struct{}
}

func newRunner(testing.TB) dyno.Runner { return &execRunner{cmds: map[string]*running{}} }

func (r *execRunner) Start(_ context.Context, spec dyno.Spec) (string, error) {
	cmd := exec.Command("sh", "-c", spec.Command)
	cmd.Dir = spec.Dir
	cmd.Env = []string{"HOME=" + spec.Dir}
	for k, v := range spec.Env {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	cmd.Stdout, cmd.Stderr = spec.Output, spec.Output
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if os.Geteuid() == 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(spec.UID), Gid: uint32(spec.UID)}
	}
	if err := cmd.Start(); err != nil {
		return "", err
	}
	run := &running{cmd, make(chan struct{})}
	go func() {
		cmd.Wait()
		close(run.done)
	}()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cmds[spec.ID] = run
	return spec.ID, nil
}

func (r *execRunner) get(id string) *running {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.cmds[id]
}

func (r *execRunner) Stop(_ context.Context, id string, grace time.Duration) error {
	run := r.get(id)
	syscall.Kill(-run.cmd.Process.Pid, syscall.SIGTERM)
	select {
	case <-run.done:
	case <-time.After(grace):
		syscall.Kill(-run.cmd.Process.Pid, syscall.SIGKILL)
		<-run.done
	}
	return nil
}

func (r *execRunner) Wait(ctx context.Context, id string) (dyno.Exit, error) {
	run := r.get(id)
	select {
	case <-run.done:
		return dyno.Exit{Code: run.cmd.ProcessState.ExitCode()}, nil
	case <-ctx.Done():
		return dyno.Exit{}, ctx.Err()
	}
}
