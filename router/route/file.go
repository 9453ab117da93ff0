package route

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"
)

const (
	// syncDelay is how long a change that is in the file may not be on the disk.
	syncDelay = 100 * time.Millisecond
	// smallLog is how many bytes of changes are never worth writing the table
	// anew.
	smallLog = 1 << 20
)

// file keeps a table. A change is appended to it; when it has become twice as
// long as the table it is written anew, while changes go on. All methods may be
// called at the same time, and of a nil file do nothing.
type file struct {
	path  string
	table *Table

	queue   sync.Mutex
	pending []byte // frames, in the order of the changes

	mu        sync.Mutex
	f         *os.File // nil until the table is written for the first time
	has       extent
	err       error // why it lacks changes
	unsynced  bool
	closed    bool
	rewriting chan struct{} // closed when that is done; else nil
	tail      []byte        // frames that came meanwhile
}

// Open starts from the last table that was kept at path, or from an empty one
// when there is none, and keeps its changes there. When the file is corrupt it
// is moved to path.corrupt and the error is ErrCorrupt: the Table returned with
// it is empty but usable, and the caller goes on once it has told somebody. With
// any other error there is no Table.
func Open(path string) (*Table, error) {
	t := New()
	kept := &file{path: path, table: t}
	err := kept.open()
	if errors.Is(err, ErrCorrupt) {
		t = New()
		kept = &file{path: path, table: t}
		aside := path + ".corrupt"
		if moved := os.Rename(path, aside); moved != nil {
			err = fmt.Errorf("%s: %w; moving it aside failed: %w", path, err, moved)
		} else {
			err = fmt.Errorf("%s: %w; it was moved to %s and routing starts empty", path, err, aside)
		}
	} else if err != nil {
		return nil, fmt.Errorf("route table: %w", err)
	}
	t.file = kept
	return t, err
}

// Read reads what is kept at path, and leaves it as it is. A missing file is an
// empty table.
func Read(path string) (*Table, error) {
	t := New()
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return t, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if _, err := t.read(f); err != nil {
		return nil, err
	}
	return t, nil
}

// read reads a file into a table that nobody uses yet.
func (t *Table) read(f *os.File) (extent, error) {
	info, err := f.Stat()
	if err != nil {
		return extent{}, err
	}
	t.records.loading = true
	defer func() { t.records.loading = false }()
	return readFrames(f, info.Size(), func(c Changes) error {
		list, err := c.decode()
		if err != nil {
			return err
		}
		b := batch{Table: t}
		b.apply(list)
		return nil
	})
}

func (k *file) open() error {
	f, err := os.OpenFile(k.path, os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	has, err := k.table.read(f)
	if err == nil {
		err = f.Truncate(has.good)
	}
	if err != nil {
		return errors.Join(err, f.Close())
	}
	k.f, k.has = f, has
	return nil
}

// enqueue takes changes in their order. flush writes them.
func (k *file) enqueue(c Changes) {
	if k == nil {
		return
	}
	k.queue.Lock()
	defer k.queue.Unlock()
	k.pending = appendFrame(k.pending, c)
}

// flush returns when the changes that were enqueued are in the file, where the
// next process finds them, and a machine that loses power soon.
func (k *file) flush() error {
	if k == nil {
		return nil
	}
	k.mu.Lock()
	if k.closed {
		k.mu.Unlock()
		return nil
	}
	k.append()
	first := k.f == nil && k.err == nil
	if k.f == nil || k.err != nil || k.has.good > 2*k.has.base+smallLog {
		k.rewrite()
	}
	done := k.rewriting
	k.mu.Unlock()
	if first {
		<-done
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.err != nil {
		return fmt.Errorf("the new routes are in use but were not saved to %s: %w", k.path, k.err)
	}
	return nil
}

// append writes what is enqueued. k.mu is held.
func (k *file) append() {
	k.queue.Lock()
	frames := k.pending
	k.pending = nil
	k.queue.Unlock()
	if k.rewriting != nil {
		k.tail = append(k.tail, frames...)
	}
	if k.f == nil || k.err != nil || len(frames) == 0 {
		return
	}
	if _, err := k.f.WriteAt(frames, k.has.good); err != nil {
		k.err = err
		return
	}
	k.has.good += int64(len(frames))
	k.soon()
}

// soon has the file be on the disk soon. k.mu is held.
func (k *file) soon() {
	if !k.unsynced {
		k.unsynced = true
		time.AfterFunc(syncDelay, func() { k.sync() })
	}
}

func (k *file) sync() error {
	k.mu.Lock()
	f, needed := k.f, k.unsynced
	k.unsynced = false
	k.mu.Unlock()
	if f == nil || !needed {
		return nil
	}
	err := f.Sync()
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.f != f {
		return nil // it was written anew, and closed
	}
	k.err = errors.Join(k.err, err)
	return err
}

// rewrite begins to write the table anew, unless that goes on. k.mu is held.
func (k *file) rewrite() {
	if k.rewriting != nil {
		return
	}
	done := make(chan struct{})
	k.rewriting = done
	go func() {
		defer close(done)
		f, base, err := k.write()
		k.mu.Lock()
		var old *os.File
		if k.rewriting = nil; err == nil {
			old, err = k.replace(f, base)
		}
		k.err, k.tail = err, nil
		k.mu.Unlock()
		if old != nil {
			old.Close() // which takes a while: all that it held is freed
		}
	}()
}

// write writes the table to a file that has no name yet.
func (k *file) write() (f *os.File, size int64, err error) {
	f, err = os.CreateTemp(filepath.Dir(k.path), "."+filepath.Base(k.path))
	if err != nil {
		return nil, 0, err
	}
	out := bufio.NewWriterSize(f, 1<<20)
	write := func(data []byte) {
		n, failed := out.Write(data)
		size += int64(n)
		err = errors.Join(err, failed)
	}
	write([]byte(magic))
	for p := range k.table.Parts() {
		if len(p.Apps) > 0 {
			write(appendFrame(nil, p.Apps))
		}
		if err != nil {
			break
		}
	}
	write(appendFrame(nil, nil))
	if err = errors.Join(err, out.Flush()); err == nil {
		err = f.Sync()
	}
	if err != nil {
		return nil, 0, errors.Join(err, f.Close(), os.Remove(f.Name()))
	}
	return f, size, nil
}

// replace puts a file that was written, and what came meanwhile, in the place
// of the one before, which it returns. k.mu is held.
func (k *file) replace(f *os.File, base int64) (old *os.File, err error) {
	_, err = f.WriteAt(k.tail, base)
	if err == nil {
		err = os.Rename(f.Name(), k.path)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close(), os.Remove(f.Name()))
	}
	old = k.f
	k.f, k.has = f, extent{base, base + int64(len(k.tail))}
	k.soon()
	return old, nil
}

// Close has all changes be on the disk. What changes later is not kept.
func (t *Table) Close() error {
	k := t.file
	if k == nil {
		return nil
	}
	_ = k.flush() // its error stays in k.err
	k.mu.Lock()
	done := k.rewriting
	k.mu.Unlock()
	if done != nil {
		<-done
	}
	_ = k.sync() // and so does this
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed = true; k.f == nil {
		return k.err
	}
	err := errors.Join(k.err, k.f.Close())
	k.f = nil
	return err
}
