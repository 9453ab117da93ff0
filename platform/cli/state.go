package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"
)

// record is what a running niwa writes about itself, DATA/niwa.json.
type record struct {
	PID        int       `json:"pid"`
	API        string    `json:"api"`
	Router     string    `json:"router"`
	RouterTLS  string    `json:"router_tls"`
	Rendezvous string    `json:"rendezvous"`
	Version    string    `json:"version"`
	StartedAt  time.Time `json:"started_at"`
}

// running reports whether a niwa holds the data directory: its lock says so,
// because the system lets go of it when the process ends, however it ends.
func running(data string) (bool, error) {
	path := filepath.Join(data, "niwa.lock")
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	lock := flock.New(path, flock.SetFlag(os.O_RDONLY))
	// A shared lock, so that two who ask at once do not mistake each other
	// for a niwa.
	free, err := lock.TryRLock()
	if err != nil {
		return false, fmt.Errorf("cannot tell whether niwa is running: %w", err)
	}
	if free {
		return false, lock.Unlock()
	}
	return true, nil
}

// find returns the record of the niwa that runs on the data directory, or an
// error that says that none does.
func find(data string) (record, error) {
	up, err := running(data)
	if err != nil {
		return record{}, err
	}
	if !up {
		return record{}, fmt.Errorf("niwa is not running on %s; start it with \"niwa up\", or name another directory with --data", data)
	}
	rec, err := readRecord(data)
	if errors.Is(err, fs.ErrNotExist) {
		return record{}, fmt.Errorf("niwa is still starting on %s; try again in a moment", data)
	}
	return rec, err
}

func readRecord(data string) (record, error) {
	var rec record
	encoded, err := os.ReadFile(filepath.Join(data, "niwa.json"))
	if err != nil {
		return record{}, err
	}
	if err := json.Unmarshal(encoded, &rec); err != nil {
		return record{}, fmt.Errorf("%s: %w", filepath.Join(data, "niwa.json"), err)
	}
	return rec, nil
}

func tokenFile(data string) string { return filepath.Join(data, "token") }

// readToken reads the API token that the first start made.
func readToken(data string) (string, error) {
	token, err := os.ReadFile(tokenFile(data))
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("no niwa has run on %s yet; start one with \"niwa up\", or name another directory with --data", data)
	}
	if errors.Is(err, fs.ErrPermission) {
		return "", fmt.Errorf("the token in %s belongs to another user; run this as the user who runs niwa", data)
	}
	return strings.TrimSpace(string(token)), err
}

// localURL is the API's address as the official CLI accepts it: it sends its
// token to hosts called exactly localhost or 127.0.0.1 alone.
func localURL(address string) (string, error) {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", err
	}
	return "http://localhost:" + port, nil
}
