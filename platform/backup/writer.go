// Package backup is a whole platform in one file, and back.
//
// The file is a tar, compressed with zstd, that is written and read in one
// go. manifest.json comes first and says which format it is; then come the
// state, files of the data directory, repositories as git bundles and what
// add-ons hold; SHA256SUMS comes last, for programs of that name as well as
// for this one. An archive that lacks it was cut off, and one that does not
// match it was changed: neither is restored from.
//
// What has no known length when it begins, as the dump of a database, lies in
// a folder of parts, which follow each other.
package backup

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/klauspost/compress/zstd"
)

// Format is the version of what this package writes. It rises when an older
// niwa could not restore from it.
const Format = 1

// Names of the archive's own entries.
const (
	manifestName = "manifest.json"
	sumsName     = "SHA256SUMS"
	failureName  = "FAILED"
	partsSuffix  = ".parts"
)

// Manifest says what an archive is.
type Manifest struct {
	Format    int       `json:"format"`
	Niwa      string    `json:"niwa"` // version of the niwa that wrote it
	CreatedAt time.Time `json:"created_at"`
	Apps      []string  `json:"apps"` // names
	Addons    []string  `json:"addons"`
}

// writer writes an archive.
type writer struct {
	zstd     *zstd.Encoder
	tar      *tar.Writer
	at       time.Time
	sums     bytes.Buffer
	partSize int // bytes of a stream that are held in memory
}

func newWriter(w io.Writer, m Manifest) (*writer, error) {
	compressed, err := zstd.NewWriter(w)
	if err != nil {
		return nil, err
	}
	a := &writer{zstd: compressed, tar: tar.NewWriter(compressed), at: m.CreatedAt, partSize: 4 << 20}
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return nil, err
	}
	return a, a.put(manifestName, append(text, '\n'))
}

// file adds an entry of exactly size bytes. All are for the owner's eyes
// alone, wherever somebody unpacks them.
func (a *writer) file(name string, size int64, content io.Reader) error {
	err := a.tar.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: size, ModTime: a.at, Typeflag: tar.TypeReg})
	if err != nil {
		return err
	}
	sum := sha256.New()
	if _, err := io.CopyN(io.MultiWriter(a.tar, sum), content, size); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	fmt.Fprintf(&a.sums, "%x  %s\n", sum.Sum(nil), name)
	return nil
}

func (a *writer) put(name string, content []byte) error {
	return a.file(name, int64(len(content)), bytes.NewReader(content))
}

// stream adds what write writes, if that is anything.
func (a *writer) stream(name string, write func(io.Writer) error) error {
	parts := &parts{archive: a, name: name}
	if err := write(parts); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return parts.flush()
}

// close ends an archive that is whole.
func (a *writer) close() error {
	if err := a.put(sumsName, bytes.Clone(a.sums.Bytes())); err != nil {
		return err
	}
	if err := a.tar.Close(); err != nil {
		return err
	}
	return a.zstd.Close()
}

// fail ends an archive that is not, with the reason for who reads it.
func (a *writer) fail(reason error) error {
	_ = a.put(failureName, []byte(reason.Error()+"\n")) // without it the archive is merely cut off
	_ = a.tar.Flush()
	_ = a.zstd.Close()
	return reason
}

// parts is a stream on its way into an archive.
type parts struct {
	archive *writer
	name    string
	held    []byte
	count   int
}

func (p *parts) Write(b []byte) (int, error) {
	written := 0
	for len(b) > 0 {
		n := min(len(b), p.archive.partSize-len(p.held))
		p.held, b = append(p.held, b[:n]...), b[n:]
		written += n
		if len(p.held) == p.archive.partSize {
			if err := p.flush(); err != nil {
				return written, err
			}
		}
	}
	return written, nil
}

func (p *parts) flush() error {
	if len(p.held) == 0 {
		return nil
	}
	p.count++
	err := p.archive.put(fmt.Sprintf("%s%s/%06d", p.name, partsSuffix, p.count), p.held)
	p.held = p.held[:0]
	return err
}
