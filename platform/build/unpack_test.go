package build

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestHostileArchivesAreRefusedWithTheReason(t *testing.T) {
	const maxBytes, maxFiles = 1 << 20, 20
	link := func(name, to string) entry { return entry{name: name, typ: tar.TypeSymlink, link: to} }
	hard := func(name, to string) entry { return entry{name: name, typ: tar.TypeLink, link: to} }
	many := make([]entry, maxFiles+1)
	for i := range many {
		many[i] = entry{name: strings.Repeat("x", i+1)}
	}
	zeros := strings.Repeat("\x00", maxBytes+1)
	for name, test := range map[string]struct {
		archive io.Reader
		says    string
	}{
		"nothing at all":                 {strings.NewReader(""), "it is empty"},
		"a zip":                          {strings.NewReader("PK\x03\x04 and so on"), "not a whole tar"},
		"a gzip of nothing":              {gzipped(t, strings.NewReader("")), ""},
		"a gzip cut short":               {bytes.NewReader(gzipped(t, tarOf(t, entry{name: "a", text: strings.Repeat("abc", 999)})).Bytes()[:40]), "whole"},
		"a tar cut short":                {bytes.NewReader(tarOf(t, entry{name: "a", text: strings.Repeat("abc", 999)}).Bytes()[:900]), "ends inside a"},
		"an absolute path":               {tarOf(t, entry{name: "/etc/passwd"}), "absolute path"},
		"a path that leads out":          {tarOf(t, entry{name: "a/../../b"}), "leads out"},
		"a path with .. that stays":      {tarOf(t, entry{name: "a/../b"}), "leads out"},
		"a path too long":                {tarOf(t, entry{name: strings.Repeat("a/", 600) + "b"}), "more than 1024 bytes"},
		"a name too long":                {tarOf(t, entry{name: strings.Repeat("a", 300)}), "cannot be unpacked"},
		"a link to an absolute path":     {tarOf(t, link("a", "/etc")), "outside the app"},
		"a link that leads out":          {tarOf(t, link("a/b", "../../c")), "outside the app"},
		"a chain of links that does":     {tarOf(t, entry{name: "p/q/x"}, link("p/q/s", "../.."), link("t", "p/q/s/..")), "leads outside the app"},
		"a file through such a link":     {tarOf(t, entry{name: "p/q/x"}, link("p/q/s", "../.."), link("t", "p/q/s/.."), entry{name: "t/evil"}), "cannot be unpacked"},
		"a hard link that leads out":     {tarOf(t, hard("a", "../../etc/passwd")), "outside the app"},
		"a hard link to an absolute one": {tarOf(t, hard("a", "/etc/passwd")), "outside the app"},
		"a hard link to what is not":     {tarOf(t, hard("a", "b")), "no file unpacked before it"},
		"a hard link to a link":          {tarOf(t, link("b", "c"), hard("a", "b")), "no file unpacked before it"},
		"a hard link through a link out": {tarOf(t, entry{name: "p/q/x"}, link("p/q/s", "../.."), link("t", "p/q/s/.."), hard("a", "t/secret")), "no file unpacked before it"},
		"a device":                       {tarOf(t, entry{name: "null", typ: tar.TypeChar}), "cannot hold devices"},
		"a pipe":                         {tarOf(t, entry{name: "pipe", typ: tar.TypeFifo}), "cannot hold devices"},
		"a setuid file":                  {tarOf(t, entry{name: "su", mode: 0o4755}), "setuid"},
		"a setgid file":                  {tarOf(t, entry{name: "su", mode: 0o2755}), "setuid or setgid"},
		"too many files":                 {tarOf(t, many...), "more than 20 files"},
		"too many bytes":                 {tarOf(t, entry{name: "a", text: zeros}), "more than 1M"},
		"a bomb":                         {gzipped(t, tarOf(t, entry{name: "a", text: zeros})), "more than 1M"},
		"a huge sparse file":             {bytes.NewReader(sparse), "more than 1M"},
		"a file where a folder must be":  {tarOf(t, entry{name: "a"}, entry{name: "a/b"}), "cannot be unpacked"},
		"a folder where a file must be":  {tarOf(t, entry{name: "a/b"}, entry{name: "a"}), "cannot be unpacked"},
	} {
		t.Run(name, func(t *testing.T) {
			outer := t.TempDir()
			inner := filepath.Join(outer, "x/y/root")
			if err := errors.Join(os.MkdirAll(inner, 0o755), os.WriteFile(filepath.Join(outer, "x/y/secret"), nil, 0o600)); err != nil {
				t.Fatal(err)
			}
			root, err := os.OpenRoot(inner)
			if err != nil {
				t.Fatal(err)
			}
			defer root.Close()
			err = unpack(t.Context(), test.archive, root, maxBytes, maxFiles)
			var bad badArchive
			if test.says != "" && (!errors.As(err, &bad) || !strings.Contains(err.Error(), test.says)) {
				t.Errorf("unpack = %v, want a badArchive with %q", err, test.says)
			}
			if test.says == "" && err != nil {
				t.Errorf("unpack = %v, want none", err)
			}
			if strings.Contains(errText(err), outer) {
				t.Errorf("the error names a path of the machine: %v", err)
			}
			if left := outside(t, outer); left != "x x/y x/y/secret" {
				t.Errorf("outside the root there is %s", left)
			}
		})
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// outside lists what is in dir but not in dir/x/y/root.
func outside(t testing.TB, dir string) string {
	t.Helper()
	var names []string
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
		if name == "x/y/root" {
			return fs.SkipDir
		}
		if name != "." {
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(names, " ")
}

func TestUnpackKeepsFilesLinksAndModes(t *testing.T) {
	root, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	archive := tarOf(t,
		entry{name: "./", typ: tar.TypeDir, mode: 0o777},
		entry{name: "./bin/run", text: "first", mode: 0o600},
		entry{name: "bin/run", text: "#!/bin/sh\n", mode: 0o775},
		entry{name: "lib/deep/er/file", text: "text", mode: 0o640},
		entry{name: "lib/again", typ: tar.TypeLink, link: "lib/deep/er/file"},
		entry{name: "lib/soft", typ: tar.TypeSymlink, link: "../bin/run"},
		entry{name: "lib/dangling", typ: tar.TypeSymlink, link: "later"},
	)
	if err := unpack(t.Context(), gzipped(t, archive), root, 1<<20, 10); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"bin/run": "#!/bin/sh\n", "lib/again": "text", "lib/soft": "#!/bin/sh\n"} {
		if got, err := root.ReadFile(name); err != nil || string(got) != want {
			t.Errorf("%s holds %q, %v; want %q", name, got, err, want)
		}
	}
	for name, want := range map[string]fs.FileMode{"bin/run": 0o755, "lib/deep/er/file": 0o644} {
		if info, err := root.Lstat(name); err != nil || info.Mode() != want {
			t.Errorf("%s has mode %v, %v; want %v", name, info.Mode(), err, want)
		}
	}
	if to, err := root.Readlink("lib/dangling"); err != nil || to != "later" {
		t.Errorf("lib/dangling leads to %q, %v", to, err)
	}
}

func TestUnpackTellsALostSourceFromABadArchive(t *testing.T) {
	root, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	lost := errors.New("the client went away")
	half := bytes.NewReader(tarOf(t, entry{name: "a", text: strings.Repeat("abc", 999)}).Bytes()[:900])
	if err := unpack(t.Context(), io.MultiReader(half, failing{lost}), root, 1<<20, 10); !errors.Is(err, lost) {
		t.Errorf("unpack = %v, want the error of its source", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := unpack(ctx, half, root, 1<<20, 10); !errors.Is(err, context.Canceled) {
		t.Errorf("unpack = %v, want that it was canceled", err)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// sparse is a tar of 1.5 KB that says it holds a file of 1 TiB, in the old
// GNU format: one map entry at the end of the hole.
var sparse = func() []byte {
	h := make([]byte, 1536)
	copy(h, "hole")
	copy(h[100:], "0000644\x000000000\x000000000\x00")
	copy(h[124:], "00000000000\x0000000000000\x00")
	h[156] = 'S'
	copy(h[257:], "ustar  \x00")
	copy(h[386:], "\x80\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00") // offset 1 TiB, base 256
	copy(h[398:], "00000000000\x00")
	copy(h[483:], "\x80\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00") // real size
	copy(h[148:], "        ")
	sum := 0
	for _, b := range h[:512] {
		sum += int(b)
	}
	copy(h[148:], []byte{byte('0' + sum>>15&7), byte('0' + sum>>12&7), byte('0' + sum>>9&7), byte('0' + sum>>6&7), byte('0' + sum>>3&7), byte('0' + sum&7), 0, ' '})
	return h
}()

func FuzzUnpackStaysInItsFolder(f *testing.F) {
	f.Add(tarOf(f, entry{name: "a/b", text: "x"}).Bytes())
	f.Add(gzipped(f, tarOf(f, entry{name: "a/b", text: "x"})).Bytes())
	f.Add(tarOf(f, entry{name: "p/q/x"}, entry{name: "p/q/s", typ: tar.TypeSymlink, link: "../.."}, entry{name: "t", typ: tar.TypeSymlink, link: "p/q/s/.."}, entry{name: "t/evil"}).Bytes())
	f.Add(tarOf(f, entry{name: "b", text: "x"}, entry{name: "a", typ: tar.TypeLink, link: "b"}).Bytes())
	f.Add(sparse)
	f.Fuzz(func(t *testing.T, archive []byte) {
		outer := t.TempDir()
		inner := filepath.Join(outer, "x/y/root")
		if err := os.MkdirAll(inner, 0o755); err != nil {
			t.Fatal(err)
		}
		root, err := os.OpenRoot(inner)
		if err != nil {
			t.Fatal(err)
		}
		defer root.Close()
		if err := unpack(t.Context(), bytes.NewReader(archive), root, 1<<16, 50); err != nil {
			var bad badArchive
			if !errors.As(err, &bad) {
				t.Errorf("unpack = %v, want a badArchive", err)
			}
		}
		if left := outside(t, outer); left != "x x/y" {
			t.Errorf("outside the root there is %s", left)
		}
	})
}
