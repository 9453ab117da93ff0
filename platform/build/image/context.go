package image

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"

	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

const (
	ignoreFile = ".dockerignore"
	maxText    = 1 << 20 // bytes of a Dockerfile or a .dockerignore
)

// buildContext is a folder as a tar, made while the engine reads it.
type buildContext struct {
	*io.PipeReader
	sent chan error // holds what came in the way of sending it
}

// newContext tars a folder without what .dockerignore names, and with text in
// the place of its Dockerfile. These two files are always sent: the engine
// needs them, and leaves them out of the image where they are named.
func newContext(ctx context.Context, root *os.Root, dockerfile string, text []byte) (*buildContext, error) {
	ignored, err := readIgnore(root)
	if err != nil {
		return nil, err
	}
	r, w := io.Pipe()
	c := &buildContext{r, make(chan error, 1)}
	p := &packer{ctx: ctx, tw: tar.NewWriter(w), root: root, ignored: ignored, dockerfile: dockerfile, text: text}
	go func() {
		err := p.pack()
		w.CloseWithError(err) // the end of the file, when there is none
		c.sent <- err
	}()
	return c, nil
}

// close ends the sending and says why it came to an end by itself before all
// was sent.
func (c *buildContext) close() error {
	c.PipeReader.Close()
	err := <-c.sent
	if errors.Is(err, io.ErrClosedPipe) {
		return nil
	}
	return err
}

func readIgnore(root *os.Root) (*patternmatcher.PatternMatcher, error) {
	text, err := read(root, ignoreFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	patterns, err := ignorefile.ReadAll(bytes.NewReader(text))
	if err != nil {
		return nil, faultf("%s: %v", ignoreFile, err)
	}
	m, err := patternmatcher.New(patterns)
	if err != nil {
		return nil, faultf("%s: %v", ignoreFile, err)
	}
	return m, nil
}

// read reads a file of the source.
func read(root *os.Root, name string) ([]byte, error) {
	f, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxText {
		return nil, faultf("%s is not a file of up to %d MB", name, maxText>>20)
	}
	return io.ReadAll(io.LimitReader(f, maxText))
}

// packer writes one context.
type packer struct {
	ctx        context.Context
	tw         *tar.Writer
	root       *os.Root
	ignored    *patternmatcher.PatternMatcher
	dockerfile string
	text       []byte
}

func (p *packer) pack() error {
	// What is above a file can decide over it.
	above := map[string]patternmatcher.MatchInfo{}
	err := fs.WalkDir(p.root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || name == "." {
			return err
		}
		if err := p.ctx.Err(); err != nil {
			return err
		}
		skip, info, err := p.ignored.MatchesUsingParentResults(name, above[path.Dir(name)])
		if err != nil {
			return faultf("%s: %v", ignoreFile, err)
		}
		if d.IsDir() {
			above[name] = info
		}
		switch {
		case name == p.dockerfile:
			return nil
		case skip && d.IsDir() && !p.ignored.Exclusions():
			return fs.SkipDir
		case skip && name != ignoreFile:
			return nil
		}
		return p.add(name)
	})
	if err != nil {
		return err
	}
	if err := p.tw.WriteHeader(&tar.Header{Name: p.dockerfile, Mode: 0o644, Size: int64(len(p.text))}); err != nil {
		return err
	}
	if _, err := p.tw.Write(p.text); err != nil {
		return err
	}
	return p.tw.Close()
}

// add adds what is there under a name, owned by root. Links are sent as links:
// the engine follows them within the context.
func (p *packer) add(name string) error {
	info, err := p.root.Lstat(name)
	if err != nil {
		return err
	}
	h := &tar.Header{Name: name, Mode: int64(info.Mode().Perm()), ModTime: info.ModTime().Truncate(1e9), Format: tar.FormatPAX}
	switch info.Mode().Type() {
	case 0:
		return p.addFile(h)
	case fs.ModeDir:
		h.Typeflag, h.Name = tar.TypeDir, name+"/"
	case fs.ModeSymlink:
		h.Typeflag = tar.TypeSymlink
		if h.Linkname, err = p.root.Readlink(name); err != nil {
			return err
		}
	default:
		return fmt.Errorf("%s is neither file, folder nor link", name)
	}
	return p.tw.WriteHeader(h)
}

func (p *packer) addFile(h *tar.Header) error {
	f, err := p.root.Open(h.Name)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	h.Typeflag, h.Size = tar.TypeReg, info.Size()
	if err := p.tw.WriteHeader(h); err != nil {
		return err
	}
	_, err = io.CopyN(p.tw, f, h.Size)
	return err
}
