// Package sampleapp holds the sample apps, so that niwa can deploy one
// wherever it runs. An app is a module of its own, and go:embed takes no
// folder that is one, so each is embedded as a zip of its folder, made by
//
//	go generate ./sample-app
package sampleapp

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"strings"
)

//go:generate go test . -count=1 -run ^TestZipsEqualTheirFolders$ -update

//go:embed *.zip
var zips embed.FS

// Sample is what an app's own app.json says of it.
type Sample struct {
	Language    string   `json:"-"` // the name of its folder
	Description string   `json:"description"`
	Keywords    []string `json:"keywords"` // the language, its framework, its services
}

// Samples lists the apps by language.
func Samples() ([]Sample, error) {
	names, err := fs.Glob(zips, "*.zip")
	if err != nil {
		return nil, err
	}
	var all []Sample
	for _, name := range names {
		s := Sample{Language: strings.TrimSuffix(name, ".zip")}
		tree, err := Open(s.Language)
		if err != nil {
			return nil, err
		}
		text, err := fs.ReadFile(tree, "app.json")
		if err == nil {
			err = json.Unmarshal(text, &s)
		}
		if err != nil {
			return nil, fmt.Errorf("app.json of the sample in %s: %w", s.Language, err)
		}
		all = append(all, s)
	}
	return all, nil
}

// OpenAPI is the document of what each app answers.
//
//go:embed openapi.yaml
var OpenAPI []byte

// Languages lists what there is a sample app in, in alphabetical order.
func Languages() []string {
	names, err := fs.Glob(zips, "*.zip")
	if err != nil {
		panic(err) // the pattern is a good one
	}
	for i, name := range names {
		names[i] = strings.TrimSuffix(name, ".zip")
	}
	return names
}

// Open returns the folder of the app in a language: "go".
func Open(lang string) (fs.FS, error) {
	data, err := zips.ReadFile(lang + ".zip")
	if err != nil {
		return nil, fmt.Errorf("there is no sample app in %q; \"niwa samples\" lists those there are", lang)
	}
	return zip.NewReader(bytes.NewReader(data), int64(len(data)))
}

// Tarball returns the app as source that can be built: a tar.gz with its
// files at the root. It is the same bytes each time.
func Tarball(lang string) ([]byte, error) {
	tree, err := Open(lang)
	if err != nil {
		return nil, err
	}
	var buf bytes.Buffer
	gz := gzip.NewWriter(&buf)
	tw := tar.NewWriter(gz)
	err = fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fs.ReadFile(tree, name)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		h := &tar.Header{Name: name, Mode: int64(info.Mode().Perm()), Size: int64(len(text)), ModTime: info.ModTime()}
		if err := tw.WriteHeader(h); err != nil {
			return err
		}
		_, err = tw.Write(text)
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := tw.Close(); err != nil {
		return nil, err
	}
	if err := gz.Close(); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}
