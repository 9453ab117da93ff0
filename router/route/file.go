package route

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/google/renameio/v2"
)

// ErrCorrupt is what errors.Is finds in the error of a table file that was
// there but could not be believed.
var ErrCorrupt = errors.New("route table file is corrupt")

// file is the table as it lies on disk. The checksum is of the bytes of
// Routes, so that a file that was cut or edited is never half believed.
type file struct {
	SHA256 string          `json:"sha256"`
	Routes json.RawMessage `json:"routes"`
}

// Encode writes a table as it lies on disk and goes to other routers.
func Encode(t *Table) ([]byte, error) {
	routes, err := json.Marshal(t.entries)
	if err != nil {
		return nil, err
	}
	// Not Marshal: it would be free to rewrite the bytes that were summed.
	return fmt.Appendf(nil, "{\"sha256\":%q,\"routes\":%s}\n", sum(routes), routes), nil
}

// Decode reads what Encode wrote. Any error is ErrCorrupt.
func Decode(data []byte) (*Table, error) {
	var f file
	if err := json.Unmarshal(data, &f); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if sum(f.Routes) != f.SHA256 {
		return nil, fmt.Errorf("%w: its checksum does not match", ErrCorrupt)
	}
	var entries []Entry
	d := json.NewDecoder(bytes.NewReader(f.Routes))
	d.DisallowUnknownFields()
	if err := d.Decode(&entries); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	for _, e := range entries {
		if !e.App.State.known() {
			return nil, fmt.Errorf("%w: app %q has the unknown state %q", ErrCorrupt, e.App.Name, e.App.State)
		}
	}
	return New(entries), nil
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

// Read reads a table file and leaves it as it is. A missing file is an empty
// table.
func Read(path string) (*Table, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return New(nil), nil
	}
	if err != nil {
		return nil, err
	}
	return Decode(data)
}

// load is Read for the owner of the file. A corrupt one is moved aside to
// path.corrupt and comes back as an empty table together with an error that is
// ErrCorrupt.
func load(path string) (*Table, error) {
	t, err := Read(path)
	if !errors.Is(err, ErrCorrupt) {
		return t, err
	}
	aside := path + ".corrupt"
	if moved := os.Rename(path, aside); moved != nil {
		return New(nil), fmt.Errorf("%s: %w; moving it aside failed: %w", path, err, moved)
	}
	return New(nil), fmt.Errorf("%s: %w; it was moved to %s and routing starts empty", path, err, aside)
}

// save replaces the table file at once: a reader, or a crash, sees the old
// table or the new one whole.
func save(path string, t *Table) error {
	data, err := Encode(t)
	if err != nil {
		return err
	}
	return renameio.WriteFile(path, data, 0o600)
}
