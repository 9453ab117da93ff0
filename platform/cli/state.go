package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/gofrs/flock"

	"niwa/platform/instance"
)

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

// find returns what the niwa that runs on the data directory says of itself,
// or an error that says that none does.
func find(data string) (instance.Record, error) {
	up, err := running(data)
	if err != nil {
		return instance.Record{}, err
	}
	if !up {
		return instance.Record{}, fmt.Errorf("niwa is not running on %s; start it with \"niwa up\", or name another directory with --data", data)
	}
	rec, err := instance.ReadRecord(data)
	if errors.Is(err, fs.ErrNotExist) {
		return instance.Record{}, fmt.Errorf("niwa is still starting on %s; try again in a moment", data)
	}
	return rec, err
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
