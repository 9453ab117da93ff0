// Package proc starts child processes that never outlive the platform
// unnoticed. A child leads a session of its own and carries a mark in its
// environment; a record of it is on disk before it runs. Whatever came of it
// is found again by session, group, descent or mark: when it is stopped, when
// its leader ends, and when the platform that started it was killed. The next
// one adopts what should go on, and sweeps away the rest.
//
// Out of reach is only a process that has left the session, whose parents
// have ended, and that has wiped its environment.
package proc

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
)

// markVar is the environment variable that tells whose child a process is.
const markVar = "NIWA_PROC"

// Table is the set of live children of one platform.
type Table struct {
	dir   string
	nonce string

	mu     sync.Mutex
	closed bool
	live   map[string]*Process
	found  map[string]record // of a dead platform, and neither adopted nor swept
}

// Open makes a table whose records are kept in dir. What they say of a dead
// platform's children is for Adopt, and then for Sweep. No two tables may use
// one dir at the same time.
func Open(dir string) (*Table, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	sealInherited()
	found, err := load(dir)
	if err != nil {
		return nil, fmt.Errorf("processes recorded in %s: %w", dir, err)
	}
	return &Table{dir: dir, nonce: strings.ToLower(rand.Text()), live: map[string]*Process{}, found: found}, nil
}

// Adopt takes back a child of a dead platform; false when its leader does not
// run any more. The table is not its parent: how it ends is not known here.
func (t *Table) Adopt(id string) (*Process, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	rec, ok := t.found[id]
	if !ok || t.closed || rec.PID == 0 {
		return nil, false
	}
	// The handle first: it stays with the process that has the number now,
	// which the record then tells from one that had it before.
	leader, err := os.FindProcess(rec.PID)
	if err != nil {
		return nil, false
	}
	if leads, err := rec.leads(); err != nil || !leads {
		return nil, false
	}
	delete(t.found, id)
	return t.add(rec, leader, nil), true
}

// Sweep kills what a dead platform left under ids that begin with prefix and
// nobody has adopted, with all that came of it, and returns, sorted, the ids
// of which something was alive.
func (t *Table) Sweep(prefix string) ([]string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.sweep(func(id string) bool { return strings.HasPrefix(id, prefix) })
}

func (t *Table) sweep(which func(id string) bool) ([]string, error) {
	var records []record
	for id, rec := range t.found {
		if which(id) {
			records = append(records, rec)
		}
	}
	swept, err := reap(records)
	if err != nil {
		return nil, err
	}
	for _, rec := range records {
		if err := rec.remove(t.dir); err != nil {
			return swept, err
		}
		delete(t.found, rec.ID)
	}
	return swept, nil
}

var idPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$`)

// Start starts cmd under an id that is not live, and kills what a dead
// platform left under it. It adds the mark to cmd.Env (the caller's own
// environment when that is nil) and makes the child leader of a new session;
// the rest of cmd is the caller's, who must not call its Wait. When Start
// fails nothing runs and nothing is recorded.
func (t *Table) Start(id string, cmd *exec.Cmd) (*Process, error) {
	if !idPattern.MatchString(id) {
		return nil, fmt.Errorf("%q cannot name a process: use letters, digits, dot, dash and underscore", id)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil, fmt.Errorf("start %s: the process table is closed", id)
	}
	if t.live[id] != nil {
		return nil, fmt.Errorf("start %s: it is running already", id)
	}
	if _, err := t.sweep(func(found string) bool { return found == id }); err != nil {
		return nil, fmt.Errorf("start %s: %w", id, err)
	}
	rec := record{ID: id, Nonce: t.nonce, Boot: bootID(), UID: os.Geteuid()}
	prepare(cmd, &rec)
	if err := rec.save(t.dir); err != nil {
		return nil, fmt.Errorf("start %s: %w", id, err)
	}
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", id, err), rec.remove(t.dir))
	}
	rec.PID = cmd.Process.Pid
	err := rec.addStart()
	if err == nil {
		err = rec.save(t.dir)
	}
	if err != nil { // a child that could not be found again must not run
		_ = syscall.Kill(-rec.PID, syscall.SIGKILL)
		_ = cmd.Wait()
		return nil, errors.Join(fmt.Errorf("start %s: %w", id, err), rec.remove(t.dir))
	}
	return t.add(rec, cmd.Process, cmd), nil
}

func (t *Table) add(rec record, leader *os.Process, cmd *exec.Cmd) *Process {
	p := &Process{table: t, rec: rec, leader: leader, cmd: cmd, done: make(chan struct{}), code: -1}
	t.live[rec.ID] = p
	go p.watch()
	return p
}

func prepare(cmd *exec.Cmd, rec *record) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setsid = true // which makes it leader of its own group too
	cmd.SysProcAttr.Setpgid = false
	if c := cmd.SysProcAttr.Credential; c != nil {
		rec.UID = int(c.Uid)
	}
	env := cmd.Env
	if env == nil {
		env = cmd.Environ()
	}
	env = slices.DeleteFunc(slices.Clone(env), func(kv string) bool { return strings.HasPrefix(kv, markVar+"=") })
	cmd.Env = append(env, markVar+"="+rec.mark())
}

// Get returns the live process of an id.
func (t *Table) Get(id string) (*Process, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.live[id]
	return p, p != nil
}

// forget ends the life of an id, and its record.
func (t *Table) forget(p *Process) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.live, p.rec.ID)
	return p.rec.remove(t.dir)
}

// Close kills every child at once, and what a dead platform left, and returns
// when nothing is left of them. Start and Adopt fail from then on.
func (t *Table) Close(ctx context.Context) error {
	t.mu.Lock()
	t.closed = true
	_, err := t.sweep(func(string) bool { return true })
	var all []*Process
	for _, p := range t.live {
		all = append(all, p)
	}
	t.mu.Unlock()
	for _, p := range all {
		p.killAfter(0)
	}
	errs := []error{err}
	for _, p := range all {
		errs = append(errs, p.wait(ctx))
	}
	return errors.Join(errs...)
}
