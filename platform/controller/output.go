package controller

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"niwa/platform"
)

// outputs keeps what builds and release phases print, a file each, and lets
// readers follow one that is still being written.
type outputs struct {
	dir string
	mu  *sync.Mutex
	on  map[string]*output // those being written
}

// output is one transcript being written. It is written by one goroutine, and
// its file is made by the first thing that is: who announces a transcript may
// find that there will be none.
type output struct {
	of      *outputs
	id      string
	file    *os.File
	err     error // the first failure to write; the work goes on without a transcript
	changed chan struct{}
	done    bool
}

func newOutputs(data string) outputs {
	return outputs{dir: filepath.Join(data, "output"), mu: &sync.Mutex{}, on: map[string]*output{}}
}

// open starts the transcript of a build or release, anew if there was one, or
// returns the one that is being written.
func (o *outputs) open(id string) *output {
	o.mu.Lock()
	defer o.mu.Unlock()
	out := o.on[id]
	if out == nil {
		out = &output{of: o, id: id, changed: make(chan struct{})}
		o.on[id] = out
	}
	return out
}

// Write never fails: a full disk must not fail a build that has room itself.
// What was lost is said in the transcript's error.
func (out *output) Write(p []byte) (int, error) {
	if out.create(); out.err == nil {
		_, out.err = out.file.Write(p)
	}
	out.wake(false)
	return len(p), nil
}

func (out *output) create() {
	if out.file != nil || out.err != nil {
		return
	}
	var file *os.File
	if out.err = os.MkdirAll(out.of.dir, 0o700); out.err == nil {
		file, out.err = os.OpenFile(filepath.Join(out.of.dir, out.id), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	}
	if out.err == nil {
		out.of.mu.Lock()
		out.file = file
		out.of.mu.Unlock()
	}
}

func (out *output) wake(done bool) {
	out.of.mu.Lock()
	defer out.of.mu.Unlock()
	close(out.changed)
	out.changed, out.done = make(chan struct{}), done
	if done && out.of.on[out.id] == out {
		delete(out.of.on, out.id)
	}
}

// close ends the transcript, and so those who follow it. It returns what kept
// the transcript from being whole.
func (out *output) close() error {
	out.create()
	out.wake(true)
	if out.file == nil {
		return out.err
	}
	return errors.Join(out.err, out.file.Close())
}

// follow reads a transcript from its beginning to its end, however long that
// takes to come.
func (o *outputs) follow(ctx context.Context, id string) (io.ReadCloser, error) {
	f := &follower{ctx: ctx, of: o, id: filepath.Base(id)}
	if _, changed := o.progress(f.id); changed != nil {
		return f, nil
	}
	err := f.open()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, platform.Missing("output")
	}
	return f, err
}

// progress says whether there is anything of a transcript that is being
// written, and what is closed when there is more of it; nil for any other.
func (o *outputs) progress(id string) (begun bool, changed <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	out := o.on[id]
	if out == nil {
		return false, nil
	}
	return out.file != nil, out.changed
}

// follower reads one transcript. Its file is nil until there is one.
type follower struct {
	ctx  context.Context
	of   *outputs
	id   string
	file *os.File
}

func (f *follower) open() (err error) {
	f.file, err = os.Open(filepath.Join(f.of.dir, f.id))
	return err
}

func (f *follower) Read(p []byte) (int, error) {
	for {
		begun, changed := f.of.progress(f.id)
		if f.file == nil && (begun || changed == nil) {
			if err := f.open(); errors.Is(err, fs.ErrNotExist) {
				return 0, io.EOF // the disk did not take it
			} else if err != nil {
				return 0, err
			}
		}
		n, err := 0, io.EOF
		if f.file != nil {
			n, err = f.file.Read(p)
		}
		if n > 0 || err != io.EOF || changed == nil {
			return n, err
		}
		select {
		case <-changed:
		case <-f.ctx.Done():
			return 0, f.ctx.Err()
		}
	}
}

// Close closes what there is to close.
func (f *follower) Close() error {
	if f.file == nil {
		return nil
	}
	return f.file.Close()
}
