package instance

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
)

// freshTmp gives this process a directory of its own for temporary files, which
// are those that will take the place of another once they are whole, passwords
// among them. It is empty: what was being written when niwa was killed is here,
// or has left an empty file beside its place.
func (h *home) freshTmp() error {
	dir := filepath.Join(h.dir, "tmp")
	return errors.Join(os.RemoveAll(dir), os.Mkdir(dir, 0o700), os.Setenv("TMPDIR", dir), h.removeHalfWritten())
}

// halfWritten is how renameio calls files, and those that it tries a place with.
var halfWritten = regexp.MustCompile(`^\..+[0-9]{5,}$`)

// removeHalfWritten looks wherever niwa itself writes files.
func (h *home) removeHalfWritten() error {
	foreign := []string{"dynos/*", "builds/*", "cache/*", "repos/*.git", "engines/postgres/cluster/*"}
	return filepath.WalkDir(h.dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(h.dir, path)
		if err != nil {
			return err
		}
		for _, pattern := range foreign {
			if matches, _ := filepath.Match(pattern, rel); matches && e.IsDir() {
				return fs.SkipDir
			}
		}
		if e.Type().IsRegular() && halfWritten.MatchString(e.Name()) {
			return os.Remove(path)
		}
		return nil
	})
}
