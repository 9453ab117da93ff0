package home

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/gzip"
)

const (
	maxUnpacked = 4 << 30 // bytes a slug may unpack to; Heroku allows 500 MB packed
	maxEntries  = 1 << 20
)

// unpack extracts a slug into dir, which is empty, and gives the files to uid
// when niwa is root. What is in a slug was made by strangers: nothing is
// written outside of dir, and what could lead there is refused.
func unpack(ctx context.Context, slug, dir string, uid int) error {
	f, err := os.Open(slug)
	if err != nil {
		return err
	}
	defer f.Close()
	zr, err := gzip.NewReader(f)
	if err != nil {
		return fmt.Errorf("slug: %w", err)
	}
	defer zr.Close()
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	x := extraction{root: root, uid: -1, dirs: map[string]bool{".": true}, room: maxUnpacked}
	if os.Geteuid() == 0 {
		x.uid = uid
	}
	tr := tar.NewReader(zr)
	for range maxEntries {
		hdr, err := tr.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("slug: %w", err)
		}
		if err := x.entry(hdr, tr); err != nil {
			return fmt.Errorf("slug: entry %q: %w", hdr.Name, err)
		}
		if err := context.Cause(ctx); err != nil {
			return err
		}
	}
	return fmt.Errorf("slug: more than %d entries", maxEntries)
}

type extraction struct {
	root *os.Root
	uid  int             // -1 to leave owners alone
	dirs map[string]bool // what is known to be a directory and no link
	room int64           // bytes that may still be unpacked
}

func (x *extraction) entry(hdr *tar.Header, content io.Reader) error {
	if hdr.Typeflag == tar.TypeXGlobalHeader { // as git archive writes
		return nil
	}
	name, err := localName(hdr.Name)
	if err != nil {
		return err
	}
	if hdr.Typeflag != tar.TypeDir && hdr.Mode&(setuidBit|setgidBit) != 0 {
		return errors.New("setuid and setgid programs are not allowed")
	}
	if err := x.mkdirs(path.Dir(name)); err != nil {
		return err
	}
	switch hdr.Typeflag {
	case tar.TypeDir:
		if name == "." { // stays closed to other apps
			return nil
		}
		if err := x.mkdirs(name); err != nil {
			return err
		}
		return x.root.Chmod(name, fs.FileMode(hdr.Mode)&0o777|0o700)
	case tar.TypeReg, tar.TypeGNUSparse:
		return x.file(name, hdr, content)
	case tar.TypeSymlink:
		return x.symlink(name, hdr.Linkname)
	case tar.TypeLink:
		return x.link(name, hdr.Linkname)
	}
	return fmt.Errorf("only files, directories and links are allowed, and its type is %q", hdr.Typeflag)
}

// Bits of a tar header's mode.
const (
	setuidBit = 0o4000
	setgidBit = 0o2000
)

// localName is the path in a slug without the leading ./ that tar likes.
func localName(name string) (string, error) {
	if path.IsAbs(name) {
		return "", errors.New("absolute paths are not allowed")
	}
	for elem := range strings.SplitSeq(name, "/") {
		if elem == ".." {
			return "", errors.New("paths with .. are not allowed")
		}
	}
	if name = path.Clean(name); !filepath.IsLocal(name) {
		return "", errors.New("the path leads out of the slug")
	}
	return name, nil
}

// mkdirs makes a directory with its parents, none of which may be a link.
func (x *extraction) mkdirs(dir string) error {
	if x.dirs[dir] {
		return nil
	}
	if err := x.mkdirs(path.Dir(dir)); err != nil {
		return err
	}
	err := x.root.Mkdir(dir, 0o700)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is not a directory", dir)
	}
	if err != nil {
		return err
	}
	x.dirs[dir] = true
	return x.own(dir)
}

// clear makes way for an entry that an archive names twice; the later counts.
func (x *extraction) clear(name string) error {
	if name == "." {
		return errors.New("the top of a slug is a directory")
	}
	err := x.root.Remove(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	delete(x.dirs, name)
	return err
}

func (x *extraction) file(name string, hdr *tar.Header, content io.Reader) error {
	if x.room -= hdr.Size; x.room < 0 {
		return fmt.Errorf("the slug unpacks to more than %d MB", maxUnpacked>>20)
	}
	if err := x.clear(name); err != nil {
		return err
	}
	f, err := x.root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, content)
	if err == nil {
		err = f.Chmod(fs.FileMode(hdr.Mode)&0o777 | 0o400)
	}
	if err == nil && x.uid >= 0 {
		err = f.Chown(x.uid, x.uid)
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return x.root.Chtimes(name, hdr.ModTime, hdr.ModTime)
}

// symlink makes a link to something in the slug. Buildpacks write links to
// /app, which is somewhere else here, so those become relative ones.
func (x *extraction) symlink(name, target string) error {
	if inApp, ok := strings.CutPrefix(path.Clean(target)+"/", "/app/"); ok {
		rel, err := filepath.Rel(path.Dir(name), path.Clean(inApp))
		if err != nil {
			return err
		}
		target = rel
	}
	if path.IsAbs(target) || !filepath.IsLocal(path.Join(path.Dir(name), target)) {
		return fmt.Errorf("it is a link to %q, outside of the slug", target)
	}
	if err := x.clear(name); err != nil {
		return err
	}
	if err := x.root.Symlink(target, name); err != nil {
		return err
	}
	return x.own(name)
}

func (x *extraction) link(name, target string) error {
	target, err := localName(target)
	if err != nil {
		return fmt.Errorf("link to %q: %w", target, err)
	}
	if !x.dirs[path.Dir(target)] || target == name {
		return fmt.Errorf("it is a link to %q, which is not in the slug", target)
	}
	if info, err := x.root.Lstat(target); err != nil || !info.Mode().IsRegular() {
		return fmt.Errorf("it is a link to %q, which is not a file of the slug", target)
	}
	if err := x.clear(name); err != nil {
		return err
	}
	return x.root.Link(target, name)
}

func (x *extraction) own(name string) error {
	if x.uid < 0 {
		return nil
	}
	return x.root.Lchown(name, x.uid, x.uid)
}
