package build

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"syscall"
)

// job is one running build. Everything its programs see is in one folder, so
// that a runner has one thing to hand over:
//
//	build/       the source, which becomes the slug   BUILD_DIR
//	cache/       the app's cache, moved in and out    CACHE_DIR
//	env/         a file per config var                ENV_DIR
//	buildpacks/  0, 1, ... in the order they run; lib, shared by the built-in
//	out/         what programs say to the builder
//	tmp/         TMPDIR
//	step         runs one program of one buildpack
type job struct {
	*Builder
	req   Request
	out   *output
	dir   string
	root  *os.Root // of dir
	doing string   // for the message of a build that ran out of time
}

func (b *Builder) open(req Request, out *output) (*job, error) {
	// The same for all builds of an app, of which one runs at a time: tools keep
	// absolute paths in what they cache, and begin anew where those have changed.
	dir := filepath.Join(b.cfg.Dir, req.AppID)
	// Programs of the app's user pass through Dir, and cannot list it.
	if err := os.MkdirAll(b.cfg.Dir, 0o711); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(b.cfg.CacheDir, 0o711); err != nil {
		return nil, err
	}
	if err := removeAll(b.cfg.Dir, req.AppID); err != nil { // what an earlier build could not
		return nil, err
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	j := &job{Builder: b, req: req, out: out, dir: dir, doing: "receiving the source"}
	if err := j.furnish(); err != nil {
		return nil, errors.Join(err, j.close())
	}
	return j, nil
}

func (j *job) furnish() (err error) {
	if j.root, err = os.OpenRoot(j.dir); err != nil {
		return err
	}
	for _, name := range []string{"build", "env", "buildpacks", "out", "tmp"} {
		if err := j.root.Mkdir(name, 0o700); err != nil {
			return err
		}
	}
	err = os.Rename(j.cacheDir(), filepath.Join(j.dir, "cache"))
	if errors.Is(err, fs.ErrNotExist) {
		err = j.root.Mkdir("cache", 0o700)
	}
	if err != nil {
		return err
	}
	for name, value := range j.req.Env {
		if err := j.root.WriteFile(path.Join("env", name), []byte(value), 0o600); err != nil {
			return err
		}
	}
	return j.root.WriteFile("step", stepScript, 0o755)
}

func (j *job) cacheDir() string { return filepath.Join(j.cfg.CacheDir, j.req.AppID) }

// close keeps the cache and removes the rest.
func (j *job) close() error {
	err := os.Rename(filepath.Join(j.dir, "cache"), j.cacheDir())
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if j.root != nil {
		err = errors.Join(err, j.root.Close())
	}
	return errors.Join(err, removeAll(j.cfg.Dir, j.req.AppID))
}

// receive unpacks the source and drops what .slugignore names.
func (j *job) receive(ctx context.Context) error {
	src, err := j.root.OpenRoot("build")
	if err != nil {
		return err
	}
	defer src.Close()
	err = unpack(ctx, j.req.Source, src, j.cfg.Limits.Source, j.cfg.Limits.Files)
	var bad badArchive
	if errors.As(err, &bad) {
		return reject("Push rejected, the source cannot be used: %v.", err)
	}
	if err != nil {
		return fmt.Errorf("unpacking the source: %w", err)
	}
	return j.ignore(src)
}

func (j *job) ignore(src *os.Root) error {
	text, err := readRegular(src, ".slugignore", 1<<20)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return reject("Push rejected, .slugignore cannot be read: %v.", err)
	}
	rules, err := parseIgnore(text)
	if err != nil {
		return reject("Push rejected, .slugignore: %v.", err)
	}
	deleted, err := rules.remove(src)
	if deleted > 0 {
		j.out.step("Deleting %d files matching .slugignore patterns.", deleted)
	}
	return err
}

// handOver gives the folder to the app's user. It is called once, before any
// program of the build has run, and opens the door last: until then nobody
// can plant a link to what is not the app's.
func (j *job) handOver() error {
	if os.Geteuid() != 0 {
		return nil
	}
	uid := j.req.UID
	entries, err := fs.ReadDir(j.root.FS(), ".")
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() == "cache" { // the app's since it was made, and full of its links
			if err := j.root.Lchown("cache", uid, uid); err != nil {
				return err
			}
			continue
		}
		err := fs.WalkDir(j.root.FS(), e.Name(), func(name string, _ fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			return j.root.Lchown(name, uid, uid)
		})
		if err != nil {
			return err
		}
	}
	return j.root.Lchown(".", uid, uid)
}

// errTooLarge is what readRegular says of a file over the limit.
var errTooLarge = errors.New("it is too large")

// readRegular reads a file that the app's programs may have replaced by
// anything: it neither leaves root nor waits at a pipe.
func readRegular(root *os.Root, name string, limit int64) ([]byte, error) {
	f, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is not a file")
	}
	text, err := io.ReadAll(io.LimitReader(f, limit+1))
	if int64(len(text)) > limit {
		return nil, fmt.Errorf("%w (more than %s)", errTooLarge, sizeText(limit))
	}
	return text, err
}

// removeAll removes dir/name, folders that forbid writing included: an app's
// tools leave such (Go's module cache), and who is not root cannot empty them.
func removeAll(dir, name string) error {
	root, err := os.OpenRoot(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer root.Close()
	if err = root.RemoveAll(name); err == nil {
		return nil
	}
	walkErr := fs.WalkDir(root.FS(), name, func(name string, d fs.DirEntry, err error) error {
		if d != nil && d.IsDir() && err == nil {
			return root.Chmod(name, 0o700)
		}
		return nil // RemoveAll says what matters
	})
	return errors.Join(root.RemoveAll(name), walkErr)
}
