// Package cgroup puts the processes of a dyno into a control group of the
// kernel's, which limits and measures them as one, and below which they cannot
// get away. All groups of a platform are below one of its own, so that they
// are found again. Linux has two versions; where version 2 has memory, it is
// used.
package cgroup

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Limits are a group's; zero is no limit.
type Limits struct {
	Memory    int64 // bytes; the kernel kills who would use more
	CPU       int   // share, of which 1024 is the usual one
	Processes int   // and threads
}

// Tree is the group of one platform.
type Tree struct {
	version int
	dirs    []string // one for each hierarchy: all in one, or memory, cpu and pids

	mu sync.Mutex // a group is not made while the last one is removed, and the tree with it
}

// Group is the group of one dyno.
type Group struct {
	tree *Tree
	id   string
}

// Open finds out, by trying, where the groups of a platform can be. The error
// says why there can be none.
func Open(platform string) (*Tree, error) {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, err
	}
	t, err := place(mounts, own, os.Geteuid() == 0)
	if err != nil {
		return nil, err
	}
	for i := range t.dirs {
		t.dirs[i] = filepath.Join(t.dirs[i], "niwa-"+platform)
	}
	err = t.make()
	t.prune()
	if err != nil {
		return nil, err
	}
	return t, nil
}

// prune removes the platform's own group, unless there are others in it.
func (t *Tree) prune() {
	for _, dir := range t.dirs {
		_ = os.Remove(dir)
	}
}

// make makes the platform's own group, and says to version 2 what the groups
// below it limit.
func (t *Tree) make() error {
	for _, dir := range t.dirs {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		if t.version == 1 {
			continue
		}
		above := filepath.Dir(dir)
		err := enable(above)
		if errors.Is(err, syscall.EBUSY) { // niwa itself is in it, which must not be beside groups
			if err = step(above, dir+".self"); err == nil {
				err = enable(above)
			}
		}
		if err == nil {
			err = enable(dir)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func enable(dir string) error {
	return os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), []byte("+memory +cpu +pids"), 0o644)
}

// step moves this process out of a group, into one below it.
func step(from, to string) error {
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(to, "cgroup.procs"), []byte(strconv.Itoa(os.Getpid())), 0o644)
}

// Make makes the group of a dyno.
func (t *Tree) Make(id string, l Limits) (*Group, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.make(); err != nil {
		return nil, err
	}
	g := &Group{t, id}
	for _, dir := range g.dirs() {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return nil, errors.Join(err, g.remove())
		}
	}
	for _, s := range t.settings(l) {
		err := os.WriteFile(filepath.Join(g.dir(s.dir), s.file), []byte(s.value), 0o644)
		if err != nil && !(s.optional && (errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission))) {
			return nil, errors.Join(err, g.remove())
		}
	}
	return g, nil
}

// Find finds the group of a dyno that an earlier platform made; nil when it
// made none.
func (t *Tree) Find(id string) *Group {
	g := &Group{t, id}
	for _, dir := range g.dirs() {
		if _, err := os.Stat(dir); err != nil {
			return nil
		}
	}
	return g
}

// Sweep kills what is in the groups that keep does not want, and removes
// them.
func (t *Tree) Sweep(keep func(id string) bool) error {
	var errs []error
	for _, dir := range t.dirs {
		entries, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		for _, e := range entries {
			if !e.IsDir() || keep(e.Name()) {
				continue
			}
			g := &Group{t, e.Name()}
			errs = append(errs, g.kill(), g.Remove())
		}
	}
	return errors.Join(errs...)
}

func (g *Group) dir(hierarchy int) string { return filepath.Join(g.tree.dirs[hierarchy], g.id) }

func (g *Group) dirs() []string {
	dirs := make([]string, len(g.tree.dirs))
	for i := range dirs {
		dirs[i] = g.dir(i)
	}
	return dirs
}

// Add puts a process into the group, and with it all that it will start.
func (g *Group) Add(pid int) error {
	for _, dir := range g.dirs() {
		if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// kill kills what is in the group, until nothing is.
func (g *Group) kill() error {
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		pids, err := os.ReadFile(filepath.Join(g.dir(0), "cgroup.procs"))
		if len(bytes.TrimSpace(pids)) == 0 || errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("processes %s of a dead platform do not end when killed", strings.Fields(string(pids)))
		}
		for number := range strings.FieldsSeq(string(pids)) {
			if pid, err := strconv.Atoi(number); err == nil && pid > 1 {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
	}
}

// Remove removes the group, in which nothing runs any more, and the
// platform's own with the last of them.
func (g *Group) Remove() error {
	g.tree.mu.Lock()
	defer g.tree.mu.Unlock()
	defer g.tree.prune()
	return g.remove()
}

// remove gives the kernel a moment, which it takes to let the last process go.
func (g *Group) remove() error {
	deadline := time.Now().Add(5 * time.Second)
	for _, dir := range g.dirs() {
		for {
			err := os.Remove(dir)
			if err == nil || errors.Is(err, fs.ErrNotExist) {
				break
			}
			if time.Now().After(deadline) {
				return err
			}
			time.Sleep(time.Millisecond)
		}
	}
	return nil
}
