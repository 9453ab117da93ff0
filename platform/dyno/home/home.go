// Package home is where a dyno lives on disk, whichever runner runs it: a
// folder that is made before the dyno and removed after it.
//
//	app/         what the slug holds; /app to the dyno
//	tmp/         /tmp to the dyno
//	run/         between niwa and the dyno's first process:
//	run/out      a named pipe for what the dyno writes
//	run/exit     how its command ended
//	run/meminfo  /proc/meminfo to the dyno, with its own memory
//	run/limit    what its control group allows, to the dyno
//
// All of it is found again by a niwa that did not make it. The pipe makes that
// worth something: the dyno's side is open for reading too, so that writing
// never fails while nobody reads, but waits once the pipe is full; and its
// first process stays until all has been read. What a dyno writes while there
// is no niwa is read by the next.
package home

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"niwa/platform/dyno"
)

// Home is the folder of one dyno, as paths of this machine.
type Home struct {
	Dir      string
	App      string
	Work     string // where the command runs: App, or Spec.Dir
	Tmp      string
	Run      string // only niwa makes files here
	Out      string
	Exit     string
	MemInfo  string // this and the next are empty when the dyno's memory is not limited
	MemLimit string
}

func at(dir string, spec dyno.Spec) (*Home, error) {
	h := &Home{Dir: dir, App: filepath.Join(dir, "app"), Tmp: filepath.Join(dir, "tmp"), Run: filepath.Join(dir, "run")}
	h.Out, h.Exit = filepath.Join(h.Run, "out"), filepath.Join(h.Run, "exit")
	if spec.Limits.Memory > 0 {
		h.MemInfo, h.MemLimit = filepath.Join(h.Run, "meminfo"), filepath.Join(h.Run, "limit")
	}
	h.Work = h.App
	if spec.Dir != "" {
		var err error
		if h.Work, err = filepath.Abs(spec.Dir); err != nil {
			return nil, err
		}
	}
	return h, nil
}

// Make makes the folder of a dyno at dir, all of it or nothing, and gives to
// spec.UID, when niwa is root, what the dyno may write to.
func Make(ctx context.Context, dir string, spec dyno.Spec) (*Home, error) {
	h, err := at(dir, spec)
	if err != nil {
		return nil, err
	}
	if err := os.Mkdir(dir, 0o711); err != nil {
		return nil, err
	}
	if err := h.fill(ctx, spec); err != nil {
		return nil, errors.Join(err, h.Remove())
	}
	return h, nil
}

// Open finds the folder that Make made at dir for the same spec. An error says
// that it is not there, or not whole.
func Open(dir string, spec dyno.Spec) (*Home, error) {
	h, err := at(dir, spec)
	if err != nil {
		return nil, err
	}
	for path, want := range map[string]fs.FileMode{h.App: fs.ModeDir, h.Work: fs.ModeDir, h.Tmp: fs.ModeDir, h.Out: fs.ModeNamedPipe, h.Exit: 0} {
		info, err := os.Lstat(path)
		if err != nil {
			return nil, err
		}
		if info.Mode().Type() != want {
			return nil, fmt.Errorf("%s is a %s", path, info.Mode().Type())
		}
	}
	return h, nil
}

func (h *Home) fill(ctx context.Context, spec dyno.Spec) error {
	for dir, mode := range map[string]fs.FileMode{h.Dir: 0o711, h.App: 0o700, h.Tmp: 0o700, h.Run: 0o711} {
		if err := os.Mkdir(dir, mode); err != nil && dir != h.Dir {
			return err
		}
		if err := os.Chmod(dir, mode); err != nil { // whatever the umask
			return err
		}
	}
	if err := syscall.Mkfifo(h.Out, 0o600); err != nil {
		return &fs.PathError{Op: "mkfifo", Path: h.Out, Err: err}
	}
	if err := os.WriteFile(h.Exit, nil, 0o600); err != nil {
		return err
	}
	if spec.Limits.Memory > 0 {
		err := errors.Join(os.WriteFile(h.MemInfo, memInfo(spec.Limits.Memory), 0o444),
			os.WriteFile(h.MemLimit, fmt.Appendln(nil, spec.Limits.Memory), 0o444))
		if err != nil {
			return err
		}
	}
	if spec.Slug != "" {
		if err := unpack(ctx, spec.Slug, h.App, spec.UID); err != nil {
			return err
		}
	}
	return h.giveTo(spec)
}

// giveTo makes the dyno's user the owner of its home.
func (h *Home) giveTo(spec dyno.Spec) error {
	if os.Geteuid() != 0 {
		return nil
	}
	for _, path := range []string{h.Work, h.Tmp} {
		if err := reachable(path, spec.UID); err != nil {
			return err
		}
	}
	if spec.Dir != "" {
		if err := give(h.Work, spec.UID); err != nil {
			return err
		}
	}
	for _, path := range []string{h.App, h.Tmp, h.Out, h.Exit} {
		if err := os.Lchown(path, spec.UID, spec.UID); err != nil {
			return err
		}
	}
	return nil
}

// Ended says how the dyno's command ended, by the record that its first
// process left; false when there is none, because the command runs, or the
// first process was killed. The dyno could have written the record itself, so
// it is believed about the dyno alone.
func (h *Home) Ended() (dyno.Exit, bool) {
	f, err := os.OpenFile(h.Exit, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return dyno.Exit{}, false
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, 1<<10))
	var record struct {
		Code   int    `json:"code"`
		Signal string `json:"signal"`
	}
	if err != nil || json.Unmarshal(data, &record) != nil {
		return dyno.Exit{}, false
	}
	if unix.SignalNum(record.Signal) == 0 { // it is shown to people
		record.Signal = ""
	}
	return dyno.Exit{Code: record.Code & 0xff, Signal: record.Signal}, true
}

// Remove removes the folder.
func (h *Home) Remove() error { return Remove(h.Dir) }
