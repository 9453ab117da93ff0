package pid1

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// tree is a mount that is in no place yet, and where it will be.
type tree struct {
	fd int
	to string
}

// enter makes the sandbox this process's root. Everything is put into place in
// the new root, where no path can lead out of it; what is to be seen of the
// old one is held open until then.
func (s *Sandbox) enter() error {
	if os.Getpid() != 1 {
		return errors.New("this process has no namespaces of its own")
	}
	// What happens here does not reach the machine. What is unmounted there is
	// unmounted here, so that no dyno keeps a disk busy.
	if err := mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return err
	}
	shown := make([]tree, len(s.Mounts))
	for i, m := range s.Mounts {
		if m.From == "" {
			continue
		}
		attr := uint64(unix.MOUNT_ATTR_RDONLY)
		if m.Write {
			attr = unix.MOUNT_ATTR_NODEV
		}
		var err error
		if shown[i], err = clone(m.From, m.To, attr); err != nil {
			return err
		}
	}
	if err := s.furnish(); err != nil {
		return err
	}
	if err := pivot(s.Root); err != nil {
		return err
	}
	hidden, err := s.arrange(shown)
	if err != nil {
		return err
	}
	for _, path := range append(hidden, "/dev", "/") {
		if err := unix.MountSetattr(unix.AT_FDCWD, path, 0, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}); err != nil {
			return &os.PathError{Op: "mount_setattr", Path: path, Err: err}
		}
	}
	return nil
}

// arrange puts the mounts into place, and returns the folders that have been
// made empty and can still be written to.
func (s *Sandbox) arrange(shown []tree) (hidden []string, err error) {
	for i, m := range s.Mounts {
		if m.From != "" {
			if err := shown[i].place(); err != nil {
				return nil, err
			}
			continue
		}
		info, err := os.Stat(m.To)
		switch {
		case err != nil: // there is no such thing, or it is out of reach already
		case info.IsDir():
			if err := mount("tmpfs", m.To, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=711,size=1m"); err != nil {
				return nil, err
			}
			hidden = append(hidden, m.To)
		default:
			if err := bindDevice("/dev/null", m.To); err != nil {
				return nil, err
			}
		}
	}
	return hidden, nil
}

// machine opens all that is at the top of the machine's root, to be read at
// root; links are told apart.
func machine(root string) (trees []tree, links map[string]string, err error) {
	entries, err := os.ReadDir("/")
	if err != nil {
		return nil, nil, err
	}
	links = map[string]string{}
	for _, e := range entries {
		from, to := "/"+e.Name(), filepath.Join(root, e.Name())
		switch {
		case slices.Contains(own(), e.Name()):
		case e.Type() == os.ModeSymlink:
			if links[to], err = os.Readlink(from); err != nil {
				return nil, nil, err
			}
		case e.IsDir():
			t, err := clone(from, to, unix.MOUNT_ATTR_RDONLY)
			if err != nil {
				return nil, nil, err
			}
			trees = append(trees, t)
		}
	}
	return trees, links, nil
}

// own are the folders at the top that are a dyno's own.
func own() []string { return []string{"proc", "dev", "tmp", "app"} }

// furnish mounts a root at s.Root that has what the machine's has, and room
// for what is the dyno's own.
func (s *Sandbox) furnish() error {
	trees, links, err := machine(s.Root) // before there is a mount at s.Root, which is part of it
	if err != nil {
		return err
	}
	if err := mount("tmpfs", s.Root, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=755,size=1m"); err != nil {
		return err
	}
	for _, t := range trees {
		if err := t.place(); err != nil {
			return err
		}
	}
	for name, target := range links {
		if err := os.Symlink(target, name); err != nil {
			return err
		}
	}
	for _, name := range own() {
		if err := os.Mkdir(filepath.Join(s.Root, name), 0o755); err != nil {
			return err
		}
	}
	if err := mount("proc", filepath.Join(s.Root, "proc"), "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return err
	}
	return devices(filepath.Join(s.Root, "dev"))
}

// devices mounts a /dev with what every program may expect of one.
func devices(dev string) error {
	if err := mount("tmpfs", dev, "tmpfs", unix.MS_NOSUID|unix.MS_NOEXEC, "mode=755,size=1m"); err != nil {
		return err
	}
	for _, name := range []string{"null", "zero", "full", "random", "urandom", "tty"} {
		if err := bindDevice(filepath.Join("/dev", name), filepath.Join(dev, name)); err != nil {
			return err
		}
	}
	// The terminals of others are out of reach, and the dyno's own has the
	// name that it has in containers.
	if terminal, err := os.Readlink("/proc/self/fd/0"); err == nil && filepath.Dir(terminal) == "/dev/pts" {
		if err := bindDevice(terminal, filepath.Join(dev, "console")); err != nil {
			return err
		}
	}
	for name, target := range map[string]string{"ptmx": "pts/ptmx", "fd": "/proc/self/fd",
		"stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2"} {
		if err := os.Symlink(target, filepath.Join(dev, name)); err != nil {
			return err
		}
	}
	for _, m := range []struct{ name, fstype, options string }{
		{"pts", "devpts", "newinstance,ptmxmode=0666,mode=620"},
		{"shm", "tmpfs", "mode=1777,size=64m"}, // as large as in containers
	} {
		dir := filepath.Join(dev, m.name)
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
		if err := mount(m.fstype, dir, m.fstype, unix.MS_NOSUID|unix.MS_NOEXEC, m.options); err != nil {
			return err
		}
	}
	return nil
}

func bindDevice(from, to string) error {
	t, err := clone(from, to, unix.MOUNT_ATTR_NOEXEC)
	if err != nil {
		return err
	}
	return t.place()
}

// pivot makes root the root, and lets go of the old one.
func pivot(root string) error {
	if err := os.Chdir(root); err != nil {
		return err
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return os.NewSyscallError("pivot_root", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return os.NewSyscallError("umount", err)
	}
	return os.Chdir("/")
}

// clone opens a copy of what is mounted at a path and below, with further
// attributes.
func clone(from, to string, attr uint64) (tree, error) {
	fd, err := unix.OpenTree(unix.AT_FDCWD, from, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE|unix.AT_NO_AUTOMOUNT)
	if err != nil {
		return tree{}, &os.PathError{Op: "open_tree", Path: from, Err: err}
	}
	set := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_NOSUID | attr}
	if err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &set); err != nil {
		return tree{}, &os.PathError{Op: "mount_setattr", Path: from, Err: err}
	}
	return tree{fd, to}, nil
}

// place moves a tree to its place, which is made if it is not there.
func (t tree) place() error {
	defer unix.Close(t.fd)
	if _, err := os.Stat(t.to); err != nil {
		if err := t.makePlace(); err != nil {
			return err
		}
	}
	if err := unix.MoveMount(t.fd, "", unix.AT_FDCWD, t.to, unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_SYMLINKS); err != nil {
		return &os.PathError{Op: "move_mount", Path: t.to, Err: err}
	}
	return nil
}

func (t tree) makePlace() error {
	var st unix.Stat_t
	if err := unix.Fstat(t.fd, &st); err != nil {
		return os.NewSyscallError("fstat", err)
	}
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		return os.MkdirAll(t.to, 0o711)
	}
	if err := os.MkdirAll(filepath.Dir(t.to), 0o711); err != nil {
		return err
	}
	f, err := os.OpenFile(t.to, os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	return f.Close()
}

func mount(source, target, fstype string, flags uintptr, data string) error {
	if err := unix.Mount(source, target, fstype, flags, data); err != nil {
		return fmt.Errorf("mount %s: %w", target, err)
	}
	return nil
}
