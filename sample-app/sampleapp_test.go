package sampleapp

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"flag"
	"io"
	"io/fs"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the zips")

// folder is what an app's folder holds, but for what a build leaves there.
func folder(t *testing.T, tree fs.FS) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name == "bin" {
				return fs.SkipDir
			}
			return nil
		}
		if name == "app" {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		text, err := fs.ReadFile(tree, name)
		files[name+" "+mode(info).String()] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// mode is what git keeps of a mode.
func mode(info fs.FileInfo) fs.FileMode { return 0o644 | info.Mode()&0o111 }

func TestZipsEqualTheirFolders(t *testing.T) {
	for _, lang := range []string{"go"} {
		tree := os.DirFS(lang)
		if *update {
			write(t, lang+".zip", tree)
			continue
		}
		zipped, err := Open(lang)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(folder(t, tree), folder(t, zipped)); diff != "" {
			t.Errorf("%s.zip is not its folder; run go generate ./sample-app (-folder +zip):\n%s", lang, diff)
		}
	}
}

// write zips a tree, the same way each time.
func write(t *testing.T, name string, tree fs.FS) {
	t.Helper()
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	err := fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || name == "app" {
			return err
		}
		if d.IsDir() {
			if name == "bin" {
				return fs.SkipDir
			}
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		h := &zip.FileHeader{Name: name, Method: zip.Deflate, Modified: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
		h.SetMode(mode(info))
		f, err := w.CreateHeader(h)
		if err != nil {
			return err
		}
		text, err := fs.ReadFile(tree, name)
		if err != nil {
			return err
		}
		_, err = f.Write(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, buf.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestTarballHasTheAppAtItsRootAndIsTheSameEachTime(t *testing.T) {
	data, err := Tarball("go")
	if err != nil {
		t.Fatal(err)
	}
	if again, err := Tarball("go"); err != nil || !bytes.Equal(data, again) {
		t.Errorf("a second tarball differs (%v)", err)
	}
	gz, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for tr := tar.NewReader(gz); ; {
		h, err := tr.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		names[h.Name] = true
	}
	for _, name := range []string{"go.mod", "Procfile", "app.json", "schema.sql"} {
		if !names[name] {
			t.Errorf("the tarball has no %s", name)
		}
	}
}

func TestThereIsNoAppInAnUnknownLanguage(t *testing.T) {
	for _, lang := range []string{"cobol", "../go", ""} {
		if _, err := Tarball(lang); err == nil {
			t.Errorf("there is a tarball of %q", lang)
		}
	}
}
