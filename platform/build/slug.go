package build

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"

	"github.com/google/renameio/v2"
	"github.com/klauspost/pgzip"
)

// softSlugSize is where Heroku starts to warn.
const softSlugSize = 300 << 20

// processTypes is what the app declares. The Procfile is read after the
// buildpacks have run, which may write one.
func (j *job) processTypes(defaults release) (map[string]string, error) {
	j.out.step("Discovering process types")
	types := map[string]string{}
	src, err := j.root.OpenRoot("build")
	if err != nil {
		return nil, err
	}
	defer src.Close()
	switch text, err := readRegular(src, "Procfile", maxProcfile); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, reject("Push rejected, the Procfile cannot be read: %v.", err)
	default:
		if types, err = parseProcfile(text); err != nil {
			return nil, reject("Push rejected, the Procfile has a mistake: %v.", err)
		}
	}
	declared := typeList(types)
	var added []string
	for _, name := range slices.Sorted(maps.Keys(defaults.ProcessTypes)) {
		if _, own := types[name]; !own {
			types[name] = defaults.ProcessTypes[name]
			added = append(added, name)
		}
	}
	if len(added) == 0 {
		j.out.detail("Procfile declares types -> %s", declared)
	} else {
		j.out.detail("Procfile declares types     -> %s", declared)
		j.out.detail("Default types for buildpack -> %s", strings.Join(added, ", "))
	}
	return types, nil
}

func typeList(types map[string]string) string {
	if len(types) == 0 {
		return "(none)"
	}
	return strings.Join(slices.Sorted(maps.Keys(types)), ", ")
}

// pack writes the slug. It appears at SlugPath whole or not at all.
func (j *job) pack(ctx context.Context) (size int64, checksum string, err error) {
	j.doing = "compressing the slug"
	j.out.line("", "")
	j.out.step("Compressing...")
	file, err := renameio.NewPendingFile(j.req.SlugPath, renameio.WithPermissions(0o600))
	if err != nil {
		return 0, "", err
	}
	defer file.Cleanup()
	src, err := j.root.OpenRoot("build")
	if err != nil {
		return 0, "", err
	}
	defer src.Close()

	sum := sha256.New()
	out := &bounded{ctx: ctx, w: io.MultiWriter(file, sum), left: j.cfg.Limits.Slug}
	err = writeSlug(out, src)
	if errors.Is(err, errSlugSize) {
		return 0, "", reject("Compiled slug size: more than %[1]s is too large (max is %[1]s).\nSee: https://devcenter.heroku.com/articles/slug-size", sizeText(j.cfg.Limits.Slug))
	}
	if err != nil {
		return 0, "", fmt.Errorf("packing the slug: %w", err)
	}
	if err := file.CloseAtomicallyReplace(); err != nil {
		return 0, "", err
	}
	j.out.detail("Done: %s", sizeText(out.written))
	if out.written > softSlugSize {
		j.out.warn("Warning: Your slug size (%s) exceeds our soft limit (%s) which may affect boot time.", sizeText(out.written), sizeText(softSlugSize))
	}
	return out.written, "SHA256:" + hex.EncodeToString(sum.Sum(nil)), nil
}

var errSlugSize = errors.New("build: slug too large")

// bounded fails at the first byte too many, before the disk is full.
type bounded struct {
	ctx     context.Context
	w       io.Writer
	left    int64
	written int64
}

func (b *bounded) Write(p []byte) (int, error) {
	if err := context.Cause(b.ctx); err != nil {
		return 0, err
	}
	if b.left -= int64(len(p)); b.left < 0 {
		return 0, errSlugSize
	}
	n, err := b.w.Write(p)
	b.written += int64(n)
	return n, err
}

// writeSlug packs root, sorted and with nobody's name on it. Times stay:
// static file servers make validators of them. Links are packed as links,
// wherever they lead: in a dyno they open nothing that its user cannot.
func writeSlug(w io.Writer, root *os.Root) error {
	gz, err := pgzip.NewWriterLevel(w, pgzip.BestSpeed)
	if err != nil {
		return err
	}
	defer gz.Reset(io.Discard) // which ends what runs in one that has failed
	tw := tar.NewWriter(gz)
	p := packing{tw: tw, root: root, buf: make([]byte, 64<<10)}
	if err := p.folder("."); err != nil {
		return err
	}
	if err := tw.Close(); err != nil {
		return err
	}
	return gz.Close()
}

type packing struct {
	tw   *tar.Writer
	root *os.Root
	buf  []byte
}

// folder packs what is in a folder: first what is no folder itself, through the
// folder, since a path that is followed anew for each file takes as long as all
// the rest; then, with the folder closed, those in it.
func (p *packing) folder(name string) error {
	folders, err := p.files(name)
	for _, sub := range folders {
		if err == nil {
			err = p.subfolder(sub)
		}
	}
	return err
}

// files packs what is in a folder but for folders, whose paths it returns.
func (p *packing) files(folder string) (folders []string, err error) {
	in, err := p.root.OpenRoot(folder)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	entries, err := fs.ReadDir(in.FS(), ".")
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		name := path.Join(folder, e.Name())
		switch {
		case name == ".git":
		case e.IsDir():
			folders = append(folders, name)
		default:
			if err := p.file(in, e.Name(), name); err != nil {
				return nil, err
			}
		}
	}
	return folders, nil
}

func (p *packing) subfolder(name string) error {
	info, err := p.root.Lstat(name)
	if err != nil {
		return err
	}
	h := header(name+"/", info)
	h.Typeflag = tar.TypeDir
	if err := p.tw.WriteHeader(h); err != nil {
		return err
	}
	return p.folder(name)
}

// file packs a file or a link that is called name in a folder, as path.
func (p *packing) file(in *os.Root, name, path string) error {
	info, err := in.Lstat(name)
	if err != nil {
		return err
	}
	h := header(path, info)
	switch info.Mode().Type() {
	case 0:
		return p.content(in, name, h)
	case fs.ModeSymlink:
		h.Typeflag = tar.TypeSymlink
		if h.Linkname, err = in.Readlink(name); err != nil {
			return err
		}
		return p.tw.WriteHeader(h)
	default: // a socket or pipe that a build left behind
		return nil
	}
}

func header(name string, info fs.FileInfo) *tar.Header {
	return &tar.Header{
		Name:    name,
		Mode:    int64(info.Mode().Perm()),
		ModTime: info.ModTime().Truncate(1e9),
		Format:  tar.FormatPAX,
	}
}

func (p *packing) content(in *os.Root, name string, h *tar.Header) error {
	f, err := in.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s has changed while it was packed", h.Name)
	}
	h.Typeflag, h.Size = tar.TypeReg, info.Size()
	if err := p.tw.WriteHeader(h); err != nil {
		return err
	}
	n, err := io.CopyBuffer(p.tw, io.LimitReader(f, h.Size), p.buf)
	if err == nil && n < h.Size {
		err = io.ErrUnexpectedEOF
	}
	return err
}
