package instance

import (
	"errors"
	"os"
	"path/filepath"
)

// freshTmp gives this process a directory of its own for temporary files, which
// are those that will take the place of another once they are whole, passwords
// among them. It is empty: whoever was killed while writing one has left it
// here, and nowhere else.
func (h *home) freshTmp() error {
	dir := filepath.Join(h.dir, "tmp")
	return errors.Join(os.RemoveAll(dir), os.Mkdir(dir, 0o700), os.Setenv("TMPDIR", dir))
}
