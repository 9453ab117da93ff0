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

// output is one transcript being written. It is written by one goroutine.
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
	if out := o.on[id]; out != nil {
		return out
	}
	out := &output{of: o, id: id, changed: make(chan struct{})}
	if out.err = os.MkdirAll(o.dir, 0o700); out.err == nil {
		out.file, out.err = os.OpenFile(filepath.Join(o.dir, id), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	}
	o.on[id] = out
	return out
}

// Write never fails: a full disk must not fail a build that has room itself.
// What was lost is said in the transcript's error.
func (out *output) Write(p []byte) (int, error) {
	if out.err == nil {
		_, out.err = out.file.Write(p)
	}
	out.wake(false)
	return len(p), nil
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
	out.wake(true)
	if out.file == nil {
		return out.err
	}
	return errors.Join(out.err, out.file.Close())
}

// follow reads a transcript from its beginning to its end, however long that
// takes to come.
func (o *outputs) follow(ctx context.Context, id string) (io.ReadCloser, error) {
	file, err := os.Open(filepath.Join(o.dir, filepath.Base(id)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, platform.Missing("output")
	}
	if err != nil {
		return nil, err
	}
	return &follower{ctx: ctx, of: o, id: id, File: file}, nil
}

type follower struct {
	ctx context.Context
	of  *outputs
	id  string
	*os.File
}

func (f *follower) Read(p []byte) (int, error) {
	for {
		f.of.mu.Lock()
		out := f.of.on[f.id]
		var changed chan struct{}
		if out != nil {
			changed = out.changed
		}
		f.of.mu.Unlock()
		n, err := f.File.Read(p)
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

// WriteTo is there so that no copy goes past Read, which waits, to the file,
// which does not.
func (f *follower) WriteTo(w io.Writer) (int64, error) {
	return io.Copy(w, struct{ io.Reader }{f})
}
