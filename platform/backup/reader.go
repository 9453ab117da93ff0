package backup

import (
	"archive/tar"
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// maxMemory bounds what an archive can make its reader hold.
const maxMemory = 64 << 20

// Read reads an archive to its end and returns an error unless it is one,
// whole and unchanged. each, unless it is nil, is given the entries in their
// order; what it leaves of a content is read all the same. It has to undo what
// it did when Read returns an error: that is often known at the end only.
func Read(archive io.Reader, each func(name string, content io.Reader) error) (m Manifest, err error) {
	in := bufio.NewReader(archive)
	if magic, _ := in.Peek(len(zstdMagic)); string(magic) != zstdMagic {
		return m, errNone
	}
	decompressed, err := zstd.NewReader(in, zstd.WithDecoderMaxMemory(maxMemory), zstd.WithDecoderConcurrency(1))
	if err != nil {
		return m, err
	}
	defer decompressed.Close()
	r := &reader{tar: tar.NewReader(decompressed)}
	if m, err = r.manifest(); err != nil {
		return m, err
	}
	for {
		name, err := r.next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return m, damaged(err)
		}
		if each != nil {
			if err := each(name, entry{r}); err != nil {
				return m, err
			}
		}
		if _, err := io.Copy(io.Discard, entry{r}); err != nil {
			return m, err
		}
	}
	switch n, err := io.Copy(io.Discard, decompressed); {
	case err != nil:
		return m, damaged(err)
	case n > 0:
		return m, damaged(errBeyond)
	}
	return m, nil
}

// zstdMagic begins what zstd has compressed (RFC 8878).
const zstdMagic = "\x28\xb5\x2f\xfd"

var errNone = errors.New("this is no archive of niwa backup")

var errBeyond = errors.New("something follows its end")

// reader reads the entries of an archive, parts put together.
type reader struct {
	tar    *tar.Reader
	sums   bytes.Buffer // of what was read so far
	header *tar.Header  // of the present file of the tar
	sum    hash.Hash    // of what was read of it
	ahead  bool         // it was opened to see whether it goes on what was read before
}

// manifest reads the first entry.
func (r *reader) manifest() (m Manifest, err error) {
	if err := r.open(); err != nil {
		return m, damaged(err)
	}
	if r.header.Name != manifestName || r.header.Size > maxMemory {
		return m, errNone
	}
	text, err := io.ReadAll(r)
	if err == nil {
		err = json.Unmarshal(text, &m)
	}
	if err != nil {
		return m, damaged(err)
	}
	if m.Format > Format {
		return m, fmt.Errorf("this archive was written by niwa %s in format %d, and this niwa reads up to format %d; restore it with niwa %s or newer", m.Niwa, m.Format, Format, m.Niwa)
	}
	if m.Format < 1 {
		return m, fmt.Errorf("this archive has format %d, which there never was", m.Format)
	}
	r.close()
	return m, nil
}

// next goes to the next entry, and returns io.EOF after the last of a whole
// archive.
func (r *reader) next() (name string, err error) {
	if !r.ahead {
		if err := r.open(); err != nil {
			return "", err
		}
	}
	r.ahead = false
	switch name, number, ok := part(r.header.Name); {
	case r.header.Name == failureName:
		reason, _ := io.ReadAll(io.LimitReader(r, 64<<10))
		return "", failure(strings.TrimSpace(string(reason)))
	case r.header.Name == sumsName:
		return "", r.compare()
	case ok && number != firstPart:
		return "", fmt.Errorf("%s is out of its order", r.header.Name)
	case ok:
		return name, nil
	}
	return r.header.Name, nil
}

// compare reads the sums that the archive says it has, and returns io.EOF when
// they are those of what was read.
func (r *reader) compare() error {
	want := bytes.Clone(r.sums.Bytes())
	got, err := io.ReadAll(io.LimitReader(r, int64(len(want))+1))
	if err != nil {
		return err
	}
	if !bytes.Equal(got, want) {
		return errors.New("its content does not match its checksums")
	}
	if _, err := r.tar.Next(); err != io.EOF {
		return errBeyond
	}
	return io.EOF
}

// open goes to the next file of the tar.
func (r *reader) open() (err error) {
	r.header, err = r.tar.Next()
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return err
	}
	if name := r.header.Name; r.header.Typeflag != tar.TypeReg || !filepath.IsLocal(name) || strings.ContainsAny(name, "\\\n\x00") {
		return fmt.Errorf("it has the entry %q, which niwa backup does not write", name)
	}
	r.sum = sha256.New()
	return nil
}

// close notes the sum of a file that was read to its end.
func (r *reader) close() { fmt.Fprintf(&r.sums, "%x  %s\n", r.sum.Sum(nil), r.header.Name) }

// Read reads the present file of the tar.
func (r *reader) Read(p []byte) (int, error) {
	n, err := r.tar.Read(p)
	r.sum.Write(p[:n])
	return n, err
}

// entry is the content of one entry, all its parts.
type entry struct{ *reader }

func (e entry) Read(p []byte) (int, error) {
	for {
		if e.ahead {
			return 0, io.EOF
		}
		n, err := e.reader.Read(p)
		if err != nil && err != io.EOF {
			return n, damaged(err)
		}
		if n > 0 || err == nil {
			return n, nil
		}
		if err := e.further(); err != nil {
			return 0, damaged(err)
		}
	}
}

// further goes to the next part of the entry, or to the entry after it.
func (r *reader) further() error {
	was, n, more := part(r.header.Name)
	r.close()
	if err := r.open(); err != nil {
		return err
	}
	is, next, ok := part(r.header.Name)
	r.ahead = !more || !ok || is != was || next != n+1
	return nil
}

const firstPart = 1

// part takes the name of a part apart.
func part(file string) (name string, number int, ok bool) {
	name, rest, ok := strings.Cut(file, partsSuffix+"/")
	if !ok || len(rest) != 6 {
		return "", 0, false
	}
	_, err := fmt.Sscanf(rest, "%06d", &number)
	return name, number, err == nil
}

// failure is what the niwa that wrote an archive said when it gave up.
type failure string

func (f failure) Error() string { return string(f) }

// damaged words what is wrong with an archive.
func damaged(err error) error {
	var told failure
	switch {
	case err == nil || err == io.EOF:
		return err
	case errors.As(err, &told):
		return fmt.Errorf("the backup was not finished: %w", err)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("the archive is cut off: its end is missing")
	}
	return fmt.Errorf("the archive is damaged: %w", err)
}
