package sampleapp

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"flag"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the zips")

// files walks what an app's folder holds, but for what its .gitignore names at
// its root: what a build leaves there.
func files(t *testing.T, tree fs.FS, visit func(name string, mode fs.FileMode, text []byte) error) {
	t.Helper()
	ignore, err := fs.ReadFile(tree, ".gitignore")
	if err != nil {
		t.Fatal(err)
	}
	ignored := map[string]bool{}
	for line := range strings.Lines(string(ignore)) {
		ignored[strings.Trim(line, "/\n")] = true
	}
	err = fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case ignored[name] && d.IsDir():
			return fs.SkipDir
		case ignored[name] || d.IsDir():
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		text, err := fs.ReadFile(tree, name)
		if err != nil {
			return err
		}
		return visit(name, mode(info), text)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// folder is what there is, by name and mode.
func folder(t *testing.T, tree fs.FS) map[string]string {
	t.Helper()
	found := map[string]string{}
	files(t, tree, func(name string, mode fs.FileMode, text []byte) error {
		found[name+" "+mode.String()] = string(text)
		return nil
	})
	return found
}

// mode is what git keeps of a mode.
func mode(info fs.FileInfo) fs.FileMode { return 0o644 | info.Mode()&0o111 }

// folders lists the apps' folders, which have an app.json.
func folders(t *testing.T) (langs []string) {
	t.Helper()
	names, err := filepath.Glob("*/app.json")
	if err != nil || len(names) == 0 {
		t.Fatalf("there are no apps (%v)", err)
	}
	for _, name := range names {
		langs = append(langs, filepath.Dir(name))
	}
	return langs
}

func TestEachFolderIsALanguage(t *testing.T) {
	if diff := cmp.Diff(folders(t), Languages()); diff != "" {
		t.Errorf("run go generate ./sample-app (-folders +zips):\n%s", diff)
	}
}

// What is no program is the same file in each.
func TestAppsShareSchemaSeedAndPage(t *testing.T) {
	for _, name := range []string{"schema.sql", "seed.sql", "page.html"} {
		want := read(t, filepath.Join("go", name))
		for _, lang := range folders(t) {
			if diff := cmp.Diff(want, read(t, filepath.Join(lang, name))); diff != "" {
				t.Errorf("%s of %s is not the one of go (-go +%[2]s):\n%[3]s", name, lang, diff)
			}
		}
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// appJSON is what these apps say of themselves, of what may be said:
// https://devcenter.heroku.com/articles/app-json-schema
type appJSON struct {
	Name, Description, Stack string
	Keywords, Addons         []string
	Buildpacks               []struct{ URL string }
	Env                      map[string]struct {
		Description, Value string
		Required           *bool
	}
	Formation map[string]struct {
		Quantity int
		Size     string
	}
	Scripts struct{ Postdeploy string }
}

func TestAppJSONSaysWhatAnAppNeeds(t *testing.T) {
	for _, lang := range folders(t) {
		var app appJSON
		dec := json.NewDecoder(strings.NewReader(read(t, filepath.Join(lang, "app.json"))))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&app); err != nil {
			t.Errorf("%s/app.json: %v", lang, err)
			continue
		}
		if app.Name != "users" || app.Description == "" || !slices.Contains(app.Keywords, lang) || app.Stack != "heroku-24" {
			t.Errorf("%s/app.json says name %q, description %q, keywords %q, stack %q", lang, app.Name, app.Description, app.Keywords, app.Stack)
		}
		if len(app.Buildpacks) == 0 || !slices.Equal(app.Addons, []string{"heroku-postgresql:essential-0", "heroku-redis:mini"}) ||
			app.Formation["web"].Quantity != 1 || app.Formation["web"].Size != "basic" || app.Scripts.Postdeploy == "" {
			t.Errorf("%s/app.json says buildpacks %v, add-ons %v, formation %v, scripts %v", lang, app.Buildpacks, app.Addons, app.Formation, app.Scripts)
		}
	}
}

func TestZipsEqualTheirFolders(t *testing.T) {
	for _, lang := range folders(t) {
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
	files(t, tree, func(name string, mode fs.FileMode, text []byte) error {
		h := &zip.FileHeader{Name: name, Method: zip.Deflate, Modified: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
		h.SetMode(mode)
		f, err := w.CreateHeader(h)
		if err != nil {
			return err
		}
		_, err = f.Write(text)
		return err
	})
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
