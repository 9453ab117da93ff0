package pid1

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"
)

// Handover is niwa's side of a first process that is its child. The child
// waits for its task, so that niwa can first write down that it is there and
// put it where it belongs; should niwa be killed before, it ends.
type Handover struct {
	task    []byte
	in, out *os.File
	theirs  []*os.File
}

// Command makes the command that starts this program as a first process, and
// what hands the task over once it has been started.
func Command(task Task) (*exec.Cmd, *Handover, error) {
	h := &Handover{}
	var err error
	if h.task, err = json.Marshal(task); err != nil {
		return nil, nil, err
	}
	program, err := self()
	if err != nil {
		return nil, nil, err
	}
	for _, ours := range []**os.File{&h.in, &h.out} {
		r, w, err := os.Pipe()
		if err != nil {
			h.Close()
			return nil, nil, err
		}
		if ours == &h.out {
			*ours, h.theirs = r, append(h.theirs, w)
		} else {
			*ours, h.theirs = w, append(h.theirs, r)
		}
	}
	cmd := &exec.Cmd{Path: program, Args: []string{Name}, Env: []string{}, ExtraFiles: h.theirs}
	return cmd, h, nil
}

// Do hands the task over and returns when the dyno's command runs. An error
// says why it does not; the child may live still.
func (h *Handover) Do(ctx context.Context) error {
	defer h.Close()
	for _, f := range h.theirs {
		f.Close()
	}
	stop := context.AfterFunc(ctx, h.giveUp)
	defer stop()
	late := time.AfterFunc(answerTime, h.giveUp)
	defer late.Stop()
	_, err := h.in.Write(h.task)
	err = errors.Join(err, h.in.Close())
	answer, readErr := io.ReadAll(io.LimitReader(h.out, 4<<10))
	switch {
	case string(answer) == ready:
		return nil
	case len(answer) > 0:
		return errors.New(string(answer))
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case os.IsTimeout(readErr):
		return fmt.Errorf("the dyno's first process has not answered in %v; a program that runs dynos calls pid1.Main first", answerTime)
	}
	return errors.Join(errors.New("the dyno's first process has ended before it ran the command"), err)
}

func (h *Handover) giveUp() {
	_ = h.in.SetDeadline(time.Unix(1, 0))
	_ = h.out.SetDeadline(time.Unix(1, 0))
}

// Close gives up a handover that was not done.
func (h *Handover) Close() {
	for _, f := range append(h.theirs, h.in, h.out) {
		if f != nil {
			f.Close()
		}
	}
}
