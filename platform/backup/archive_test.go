package backup

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
)

// written is an archive of a short file, an empty one and two streams.
func written(t testing.TB) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := newWriter(&out, Manifest{Format: Format, Niwa: "1.2.3", CreatedAt: time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC), Apps: []string{"garden"}})
	if err != nil {
		t.Fatal(err)
	}
	w.partSize = testPart
	stream := func(size int) func(io.Writer) error {
		return func(w io.Writer) error {
			_, err := io.Copy(w, iotest.OneByteReader(bytes.NewReader(noise(size))))
			return err
		}
	}
	for _, err := range []error{
		w.put("key", []byte("secret")),
		w.stream("repos/none", func(io.Writer) error { return nil }),
		w.stream("repos/one", stream(100)),
		w.put("empty", nil),
		w.stream("addons/big", stream(2*testPart+7)),
		w.stream("addons/even", stream(testPart)),
		w.close(),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return out.Bytes()
}

const testPart = 1000

// noise is data that no compression does anything about, always the same.
func noise(size int) []byte {
	b := make([]byte, size)
	source := rand.NewChaCha8([32]byte{})
	source.Read(b)
	return b
}

func TestAnArchiveComesBackAsItWasWritten(t *testing.T) {
	got := map[string]int{}
	var order []string
	m, err := Read(bytes.NewReader(written(t)), func(name string, content io.Reader) error {
		b, err := io.ReadAll(content)
		got[name], order = len(b), append(order, name)
		if name == "key" && string(b) != "secret" {
			t.Errorf("the key is %q", b)
		}
		return err
	})
	if err != nil || m.Niwa != "1.2.3" || m.Apps[0] != "garden" {
		t.Fatalf("%+v, %v", m, err)
	}
	want := map[string]int{"key": 6, "repos/one": 100, "empty": 0, "addons/big": 2*testPart + 7, "addons/even": testPart}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"key", "repos/one", "empty", "addons/big", "addons/even"}, order); diff != "" {
		t.Error(diff)
	}
}

func TestWhatIsNotReadOfAnEntryIsPassedOver(t *testing.T) {
	var names []string
	_, err := Read(bytes.NewReader(written(t)), func(name string, content io.Reader) error {
		names = append(names, name)
		_, err := io.CopyN(io.Discard, content, int64(len(names))%2)
		if err == io.EOF {
			err = nil
		}
		return err
	})
	if err != nil || len(names) != 5 {
		t.Errorf("%v, %v", names, err)
	}
}

func TestACutArchiveIsRefusedWhereverItIsCut(t *testing.T) {
	whole := written(t)
	for n := range len(whole) {
		if _, err := Read(bytes.NewReader(whole[:n]), nil); err == nil {
			t.Fatalf("cut after %d of %d bytes it was taken for whole", n, len(whole))
		}
	}
	_, err := Read(bytes.NewReader(whole[:len(whole)-1]), nil)
	if err == nil || !strings.Contains(err.Error(), "cut off") {
		t.Errorf("its last byte gone: %v", err)
	}
}

func TestAnArchiveWithAFlippedBitIsRefused(t *testing.T) {
	content := func(archive []byte) (string, error) {
		var all strings.Builder
		_, err := Read(bytes.NewReader(archive), func(name string, content io.Reader) error {
			all.WriteString(name)
			_, err := io.Copy(&all, content)
			return err
		})
		return all.String(), err
	}
	whole := written(t)
	want, err := content(whole)
	if err != nil {
		t.Fatal(err)
	}
	for n := range len(whole) {
		edited := bytes.Clone(whole)
		edited[n] ^= 0x10
		// Some bits of the compression say the same either way.
		if got, err := content(edited); err == nil && got != want {
			t.Errorf("with byte %d of %d flipped, another content was taken", n, len(whole))
		}
	}
}

// repacked is the tar of an archive after an edit, compressed again, so that
// nothing but niwa's own sums can tell.
func repacked(t *testing.T, edit func([]byte) []byte) []byte {
	t.Helper()
	r, err := zstd.NewReader(bytes.NewReader(written(t)))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	plain, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w, err := zstd.NewWriter(&out)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(edit(plain)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestAnEditedArchiveIsRefused(t *testing.T) {
	replace := func(old, new string) func([]byte) []byte {
		return func(b []byte) []byte {
			if !bytes.Contains(b, []byte(old)) {
				t.Fatalf("no %q in the archive", old)
			}
			return bytes.Replace(b, []byte(old), []byte(new), 1)
		}
	}
	for name, c := range map[string]struct {
		edit func([]byte) []byte
		want string
	}{
		"another content":              {replace("secret", "sekret"), "checksums"},
		"another manifest":             {replace("garden", "gurden"), "checksums"},
		"a newer format":               {replace(`"format": 1`, `"format": 9`), "niwa 1.2.3 or newer"},
		"a format that never was":      {replace(`"format": 1`, `"format": 0`), "never was"},
		"something behind the end":     {func(b []byte) []byte { return append(b, b...) }, "follows"},
		"everything twice, end to end": {func(b []byte) []byte { return append(b[:len(b)-1024], b...) }, "follows"},
		"an entry less":                {func(b []byte) []byte { return append(b[:1024:1024], b[2048:]...) }, "checksums"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Read(bytes.NewReader(repacked(t, c.edit)), nil)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestWhatIsNoArchiveIsSaidToBeNone(t *testing.T) {
	var other bytes.Buffer
	z, err := zstd.NewWriter(&other)
	if err != nil {
		t.Fatal(err)
	}
	a := &writer{zstd: z, tar: tar.NewWriter(z)}
	if err := errors.Join(a.put("README", []byte("another's")), a.close()); err != nil {
		t.Fatal(err)
	}
	for name, file := range map[string]string{"nothing": "", "a text": "Dear diary", "zeroes": strings.Repeat("\x00", 5000), "another tar": other.String()} {
		if _, err := Read(strings.NewReader(file), nil); err == nil || !strings.Contains(err.Error(), "no archive of niwa backup") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAFailedBackupTellsItsReaderWhy(t *testing.T) {
	var out bytes.Buffer
	w, err := newWriter(&out, Manifest{Format: Format})
	if err != nil {
		t.Fatal(err)
	}
	reason := errors.New("Postgres does not answer")
	err = w.stream("addons/one", func(w io.Writer) error {
		fmt.Fprint(w, "half of it")
		return reason
	})
	if err := w.fail(err); !errors.Is(err, reason) {
		t.Error(err)
	}
	_, err = Read(&out, nil)
	if err == nil || !strings.Contains(err.Error(), "not finished") || !strings.Contains(err.Error(), reason.Error()) {
		t.Errorf("got %v", err)
	}
}

func TestAnEntryThatLeadsOutOfTheArchiveIsRefused(t *testing.T) {
	for _, name := range []string{"../key", "/etc/passwd", "a/../../b", "a\nb", ""} {
		var out bytes.Buffer
		w, err := newWriter(&out, Manifest{Format: Format})
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(w.put(name, nil), w.close()); err != nil {
			t.Fatal(err)
		}
		if _, err := Read(&out, nil); err == nil {
			t.Errorf("%q was taken", name)
		}
	}
}
