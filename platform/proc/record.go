package proc

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// record is what the next platform has to know about a child. It is written
// twice: before the child runs, when its mark is all there is to find it by,
// and when its number is known. Nothing is synced to the disk: a crash that
// loses the record takes the processes with it.
type record struct {
	ID    string `json:"id"`
	Nonce string `json:"nonce"`
	Boot  string `json:"boot"` // of the kernel that PID and Start belong to
	UID   int    `json:"uid"`
	PID   int    `json:"pid,omitempty"`   // of the leader, its session and its group
	Start uint64 `json:"start,omitempty"` // when the leader started, in the kernel's own unit
}

// mark is the value of the child's NIWA_PROC.
func (r *record) mark() string { return r.Nonce + ":" + r.ID }

func (r *record) path(dir string) string { return filepath.Join(dir, r.ID+".json") }

func (r *record) save(dir string) error {
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	tmp := filepath.Join(dir, "."+r.ID+".tmp")
	if err := os.WriteFile(tmp, data, 0o600); err != nil {
		return errors.Join(err, os.RemoveAll(tmp))
	}
	return os.Rename(tmp, r.path(dir))
}

func (r *record) remove(dir string) error {
	err := os.Remove(r.path(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// addStart asks the kernel when the leader started, which tells it from a
// later process with the same number.
func (r *record) addStart() error {
	p, err := lookup(r.PID)
	r.Start = p.start
	return err
}

// leads says whether the process that has the leader's number is the leader,
// and has not ended.
func (r *record) leads() (bool, error) {
	p, err := lookup(r.PID)
	if gone(err) {
		return false, nil
	}
	return err == nil && p.start == r.Start && !p.zombie, err
}

// ended says that the leader has, when that is certain.
func (r *record) ended() bool {
	leads, err := r.leads()
	return err == nil && !leads
}

// reap kills what the records name and all that came of it, and returns the
// ids of which something was alive.
func reap(records []record) ([]string, error) {
	var reaped []string
	for _, r := range records {
		members, err := family(r)
		if err != nil {
			return nil, err
		}
		if len(members) > 0 {
			reaped = append(reaped, r.ID)
		}
	}
	if len(reaped) == 0 {
		return nil, nil
	}
	deadline := time.Now().Add(10 * time.Second)
	for {
		left, err := family(records...)
		if err == nil && len(left) == 0 {
			slices.Sort(reaped)
			return reaped, nil
		}
		if err == nil && time.Now().After(deadline) {
			err = fmt.Errorf("process %d of a dead platform does not end when killed", left[0].pid)
		}
		if err == nil {
			err = strike(syscall.SIGKILL, records...)
		}
		if err != nil {
			return nil, err
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// load reads the records in dir that this boot of the machine wrote, and
// removes the others. One that cannot be read was torn by a crash of the
// machine, and names nothing that can be alive.
func load(dir string) (map[string]record, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	records := map[string]record{}
	for _, e := range entries {
		file := filepath.Join(dir, e.Name())
		r, err := read(file)
		if err != nil {
			return nil, err
		}
		if r.Nonce != "" && r.Boot == bootID() && file == r.path(dir) {
			records[r.ID] = r
		} else if err := os.Remove(file); err != nil {
			return nil, err
		}
	}
	return records, nil
}

func read(file string) (r record, err error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return r, err
	}
	if json.Unmarshal(data, &r) != nil {
		return record{}, nil
	}
	return r, nil
}
