package build

import (
	"archive/tar"
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/klauspost/compress/gzip"
)

// badArchive says what is wrong with an archive, to whoever sent it.
type badArchive string

func (e badArchive) Error() string { return string(e) }

func badf(format string, args ...any) error { return badArchive(fmt.Sprintf(format, args...)) }

// unpacker writes one archive into root.
type unpacker struct {
	root     *os.Root
	maxBytes int64
	maxFiles int

	bytes int64
	files int
	links []string // symbolic links made
}

// unpack writes a tar or tar.gz into root, whose folder nobody else can
// change meanwhile. A badArchive says what is wrong with the archive; what
// had been written by then stays.
func unpack(ctx context.Context, r io.Reader, root *os.Root, maxBytes int64, maxFiles int) error {
	src := &source{ctx: ctx, r: r}
	u := &unpacker{root: root, maxBytes: maxBytes, maxFiles: maxFiles}
	err := u.read(src)
	if src.err != nil {
		return src.err // why the archive ended early
	}
	return err
}

// source remembers why reading failed, which decompressors rephrase.
type source struct {
	ctx context.Context
	r   io.Reader
	err error
}

func (s *source) Read(p []byte) (int, error) {
	if s.err = s.ctx.Err(); s.err != nil {
		return 0, s.err
	}
	n, err := s.r.Read(p)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

func (u *unpacker) read(src io.Reader) error {
	buf := bufio.NewReaderSize(src, 64<<10)
	magic, err := buf.Peek(2)
	if len(magic) == 0 {
		return badf("it is empty")
	}
	var archive io.Reader = buf
	if err == nil && magic[0] == 0x1f && magic[1] == 0x8b {
		gz, err := gzip.NewReader(buf)
		if err != nil {
			return badf("it is not a whole gzip file (%v)", err)
		}
		archive = gz
	}
	tr := tar.NewReader(archive)
	for {
		h, err := tr.Next()
		if err == io.EOF {
			return u.checkLinks()
		}
		if err != nil {
			return badf("it is not a whole tar or tar.gz archive (%v)", err)
		}
		if err := u.entry(h, tr); err != nil {
			return err
		}
	}
}

func (u *unpacker) entry(h *tar.Header, body io.Reader) error {
	if h.Typeflag == tar.TypeXGlobalHeader { // how git archive names the commit
		return nil
	}
	if u.files++; u.files > u.maxFiles {
		return badf("it has more than %d files", u.maxFiles)
	}
	name, err := entryName(h.Name)
	if err != nil || name == "." {
		return err
	}
	if h.Mode&(syscall.S_ISUID|syscall.S_ISGID) != 0 && h.Typeflag != tar.TypeDir {
		return badf("%s is setuid or setgid; take the bit away (chmod ug-s)", name)
	}
	if u.bytes += max(h.Size, 0); u.bytes > u.maxBytes {
		return badf("it unpacks to more than %s", sizeText(u.maxBytes))
	}
	switch h.Typeflag {
	case tar.TypeDir:
		err = u.root.MkdirAll(name, 0o755)
	case tar.TypeReg, tar.TypeGNUSparse:
		err = u.file(name, h, body)
	case tar.TypeSymlink:
		err = u.symlink(name, h.Linkname)
	case tar.TypeLink:
		err = u.link(name, h.Linkname)
	default:
		return badf("%s is neither file, folder nor link; an app cannot hold devices, pipes or sockets", name)
	}
	return blame(name, err)
}

// blame tells a fault of the archive (a file where a folder must be, a path
// through a link that points out) from one of the machine.
func blame(name string, err error) error {
	var bad badArchive
	var pathErr *fs.PathError
	var linkErr *os.LinkError
	switch {
	case err == nil, errors.As(err, &bad):
		return err
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errors.Is(err, syscall.EIO), errors.Is(err, syscall.EROFS):
		return err
	case errors.As(err, &pathErr):
		return badf("%s cannot be unpacked (%v)", name, pathErr.Err)
	case errors.As(err, &linkErr):
		return badf("%s cannot be unpacked (%v)", name, linkErr.Err)
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, tar.ErrHeader), errors.Is(err, gzip.ErrChecksum):
		return badf("it ends inside %s", name)
	default:
		return badf("%s cannot be read (%v)", name, err)
	}
}

func entryName(name string) (string, error) {
	switch {
	case strings.HasPrefix(name, "/"):
		return "", badf("%q is an absolute path; paths in it must be relative", name)
	case len(name) > 1024:
		return "", badf("%q... is a path of more than 1024 bytes", name[:64])
	case strings.ContainsRune(name, 0):
		return "", badf("%q has a zero byte in its path", name)
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == ".." {
			return "", badf("%q leads out of it; paths in it must not hold ..", name)
		}
	}
	return path.Clean(name), nil
}

func (u *unpacker) file(name string, h *tar.Header, body io.Reader) error {
	if err := u.clear(name); err != nil {
		return err
	}
	mode := fs.FileMode(0o644)
	if h.Mode&0o100 != 0 {
		mode = 0o755
	}
	f, err := u.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, body)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	// Static file servers make validators of these times.
	if h.ModTime.After(time.Unix(0, 0)) {
		return u.root.Chtimes(name, h.ModTime, h.ModTime)
	}
	return nil
}

// clear makes the folders above name, and room for it where the archive has
// named it before.
func (u *unpacker) clear(name string) error {
	if err := u.root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	info, err := u.root.Lstat(name)
	if err != nil || info.IsDir() {
		return nil // what follows fails on a folder, as it must
	}
	return u.root.Remove(name)
}

func (u *unpacker) symlink(name, target string) error {
	if path.IsAbs(target) || !filepath.IsLocal(path.Join(path.Dir(name), target)) {
		return badf("%s is a link to %q, which is outside the app; link to a relative path inside it", name, target)
	}
	if err := u.clear(name); err != nil {
		return err
	}
	u.links = append(u.links, name)
	return u.root.Symlink(target, name)
}

func (u *unpacker) link(name, target string) error {
	old, err := entryName(target)
	if err != nil {
		return badf("%s is a hard link to %q, which is outside the app", name, target)
	}
	if info, err := u.root.Lstat(old); err != nil || !info.Mode().IsRegular() {
		return badf("%s is a hard link to %q, which is no file unpacked before it", name, target)
	}
	if old == name {
		return nil
	}
	if err := u.clear(name); err != nil {
		return err
	}
	return u.root.Link(old, name)
}

// checkLinks looks where links lead in the end: through other links they can
// leave the folder though each alone looks innocent. Those that lead nowhere
// are left alone.
func (u *unpacker) checkLinks() error {
	base, err := filepath.EvalSymlinks(u.root.Name())
	if err != nil {
		return err
	}
	for _, name := range u.links {
		end, err := filepath.EvalSymlinks(filepath.Join(base, name))
		if err != nil {
			continue
		}
		if rel, err := filepath.Rel(base, end); err != nil || !filepath.IsLocal(rel) {
			return badf("%s is a link that leads outside the app; link to a relative path inside it", name)
		}
	}
	return nil
}
