package api

import (
	"encoding/base64"
	"errors"
	"io/fs"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/gofiber/fiber/v2"

	"niwa/platform"
)

// The registry tells the official CLI of the built-in buildpacks. Others are
// set by the URL of their repository or tarball.

const (
	registryNamespace = "heroku"
	readmeFile        = "README.md"
)

type registryJSON struct {
	ID          string         `json:"id"`
	Name        string         `json:"name"`
	Namespace   string         `json:"namespace"`
	Category    string         `json:"category"`
	Description string         `json:"description"`
	Support     registrySource `json:"support"`
	Source      registrySource `json:"source"`
	BlobURL     string         `json:"blob_url"`
}

type registrySource struct {
	Method string `json:"method,omitempty"`
	Type   string `json:"type,omitempty"`
}

// builtins are the built-in buildpacks by name.
func (a *API) builtins() ([]registryJSON, error) {
	if a.Buildpacks == nil {
		return nil, nil
	}
	entries, err := fs.ReadDir(a.Buildpacks, ".")
	var all []registryJSON
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		readme, err := a.readme(e.Name())
		if err != nil {
			return nil, err
		}
		all = append(all, registryJSON{
			ID: stableID("buildpacks", e.Name()), Name: e.Name(), Namespace: registryNamespace, Category: "languages",
			Description: firstSentence(readme), Source: registrySource{Type: "niwa"},
			BlobURL: registryURL + registryNamespace + "/" + e.Name() + ".tgz",
		})
	}
	return all, err
}

// readme is what a buildpack says of itself; one need not say anything.
func (a *API) readme(name string) (string, error) {
	text, err := fs.ReadFile(a.Buildpacks, name+"/"+readmeFile)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return string(text), err
}

// firstSentence is the first line of a text that is no heading.
func firstSentence(text string) string {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			return line
		}
	}
	return ""
}

// builtin finds the buildpack of the address: heroku/go, escaped.
func (a *API) builtin(f *fiber.Ctx) (registryJSON, error) {
	slug, err := url.PathUnescape(f.Params("buildpack"))
	if err != nil {
		return registryJSON{}, platform.Missing("buildpack")
	}
	all, err := a.builtins()
	if err != nil {
		return registryJSON{}, err
	}
	i := slices.IndexFunc(all, func(b registryJSON) bool { return b.Namespace+"/"+b.Name == slug })
	if i < 0 {
		return registryJSON{}, platform.Missing("buildpack")
	}
	return all[i], nil
}

func (a *API) registryInfo(f *fiber.Ctx) error {
	b, err := a.builtin(f)
	if err != nil {
		return err
	}
	return sendJSON(f, http.StatusOK, b)
}

// registrySearch finds buildpacks by ?in[namespace][]=, ?in[name][]= and
// ?like[description]=.
func (a *API) registrySearch(f *fiber.Ctx) error {
	q, err := url.ParseQuery(string(f.Request().URI().QueryString()))
	if err != nil {
		return platform.Errorf(platform.BadRequest, "The query is malformed.")
	}
	all, err := a.builtins()
	if err != nil {
		return err
	}
	among := func(field, value string) bool {
		wanted := q["in["+field+"][]"]
		return len(wanted) == 0 || slices.Contains(wanted, value)
	}
	found := slices.DeleteFunc(all, func(b registryJSON) bool {
		like := strings.ToLower(q.Get("like[description]"))
		return !among("namespace", b.Namespace) || !among("name", b.Name) || !strings.Contains(strings.ToLower(b.Description), like)
	})
	if found == nil {
		found = []registryJSON{}
	}
	return sendJSON(f, http.StatusOK, found)
}

// registryRevisions says that there is one revision: that of this niwa.
func (a *API) registryRevisions(f *fiber.Ctx) error {
	b, err := a.builtin(f)
	if err != nil {
		return err
	}
	account, err := a.Controller.Account(a.ctx)
	if err != nil {
		return err
	}
	return sendJSON(f, http.StatusOK, []map[string]any{{
		"id": stableID("revisions", b.Name+"@"+a.Version), "release": 1, "status": "published", "tarball": b.BlobURL,
		"version": a.Version, "license": nil, "created_at": stamp(account.CreatedAt), "updated_at": stamp(account.CreatedAt),
	}})
}

func (a *API) registryReadme(f *fiber.Ctx) error {
	b, err := a.builtin(f)
	if err != nil {
		return err
	}
	text, err := a.readme(b.Name)
	if err != nil {
		return err
	}
	return sendJSON(f, http.StatusOK, map[string]string{"encoding": "base64", "content": base64.StdEncoding.EncodeToString([]byte(text))})
}
