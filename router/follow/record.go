package follow

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gofrs/flock"
	"github.com/google/uuid"
)

// Router is what a router tells of itself.
type Router struct {
	ID        string    `json:"id"` // uuid of this run of it
	PID       int       `json:"pid"`
	URL       string    `json:"url"`
	TLS       string    `json:"tls"`     // URL
	Metrics   string    `json:"metrics"` // URL
	Version   string    `json:"version"`
	StartedAt time.Time `json:"started_at"`
}

// Record is the record of a router that runs.
type Record struct {
	Router Router
	path   string
	lock   *flock.Flock
}

// Register puts a router on record until Close, or until its process ends,
// however it does. Register before reading the table file: the platform then
// either knows of the router, or wrote the file before.
func Register(dir string, r Router) (*Record, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return nil, err
	}
	path := recordPath(dir, r.ID)
	fresh := path + ".new"
	if err := os.WriteFile(fresh, append(data, '\n'), 0o600); err != nil {
		return nil, err
	}
	lock := flock.New(fresh)
	if locked, err := lock.TryLock(); !locked {
		return nil, errors.Join(fmt.Errorf("cannot lock %s", fresh), err)
	}
	if err := os.Rename(fresh, path); err != nil { // with its lock
		return nil, errors.Join(err, lock.Unlock())
	}
	return &Record{r, path, lock}, nil
}

// Close takes the router off the record.
func (r *Record) Close() error {
	return errors.Join(os.Remove(r.path), r.lock.Unlock())
}

// Routers lists the routers that run, the oldest first. It removes the records
// of those that have ended without a Close.
func Routers(dir string) ([]Router, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all []Router
	for _, e := range entries {
		id, ok := strings.CutSuffix(e.Name(), ".json")
		if !ok || !runs(dir, id) {
			continue
		}
		var r Router
		data, err := os.ReadFile(recordPath(dir, id))
		if errors.Is(err, fs.ErrNotExist) {
			continue // it has ended just now
		}
		if err == nil {
			err = json.Unmarshal(data, &r)
		}
		if err != nil {
			return nil, fmt.Errorf("the record of a router, %s: %w", recordPath(dir, id), err)
		}
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b Router) int { return a.StartedAt.Compare(b.StartedAt) })
	return all, nil
}

// runs is whether the router with that id does. The record of one that does
// not is removed.
func runs(dir, id string) bool {
	path := recordPath(dir, id)
	if uuid.Validate(id) != nil {
		return false
	}
	if _, err := os.Lstat(path); err != nil {
		return false // flock would make the file
	}
	lock := flock.New(path, flock.SetFlag(os.O_RDONLY))
	ended, err := lock.TryRLock()
	if err == nil && ended {
		// What cannot be removed is told by its lock all the same.
		_ = errors.Join(os.Remove(path), lock.Unlock())
	}
	return err == nil && !ended
}

func recordPath(dir, id string) string { return filepath.Join(dir, id+".json") }
