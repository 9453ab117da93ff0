package home

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// reachable says what keeps a user from a path.
func reachable(path string, uid int) error {
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil {
			return err
		}
		search := fs.FileMode(0o001)
		if owner, ok := info.Sys().(*syscall.Stat_t); ok && int(owner.Uid) == uid {
			search = 0o100
		}
		if info.Mode()&search == 0 {
			return fmt.Errorf("user %d cannot reach %s, because %s is closed to it: run `chmod a+x %s`, or choose another data directory",
				uid, path, dir, dir)
		}
		if dir == filepath.Dir(dir) {
			return nil
		}
	}
}

// give makes uid the owner of a directory and all in it, and closes it to
// everyone else. A file that has a further name outside of dir is refused:
// it may be somebody else's.
func give(dir string, uid int) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	var names []string
	links := map[uint64]uint64{} // by inode, how many more names it must have
	err = fs.WalkDir(root.FS(), ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := root.Lstat(name)
		if err != nil {
			return err
		}
		st, ok := info.Sys().(*syscall.Stat_t)
		if !ok || int(st.Uid) == uid && int(st.Gid) == uid {
			return nil
		}
		if !info.IsDir() && st.Nlink > 1 {
			if _, seen := links[st.Ino]; !seen {
				links[st.Ino] = uint64(st.Nlink)
			}
			if links[st.Ino]--; links[st.Ino] == 0 {
				delete(links, st.Ino)
			}
		}
		names = append(names, name)
		return nil
	})
	if err != nil {
		return err
	}
	if len(links) > 0 {
		return fmt.Errorf("%s cannot be given to user %d: %d of its files are hard links to files elsewhere; copy them instead", dir, uid, len(links))
	}
	for _, name := range names {
		if err := root.Lchown(name, uid, uid); err != nil {
			return err
		}
	}
	return root.Chmod(".", 0o700)
}

// Remove removes a folder and all in it, directories included that an app has
// closed to its own user, as the Go module cache is.
func Remove(dir string) error {
	err := os.RemoveAll(dir)
	if err == nil || os.Geteuid() == 0 {
		return err
	}
	walkErr := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.IsDir() {
			return os.Chmod(path, 0o700)
		}
		return err
	})
	return errors.Join(walkErr, os.RemoveAll(dir))
}
