package api

import (
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/renameio/v2"
	"github.com/google/uuid"

	"niwa/platform"
)

const (
	sourcePath = "/blobs/sources/"
	slugPath   = "/blobs/slugs/"

	// maxSource is the size of the largest source that is taken in.
	maxSource = 1 << 30
	// sourceLife is how long the URLs of a source work, and the source is kept.
	// Source: https://devcenter.heroku.com/articles/build-and-release-using-the-api#creating-builds
	sourceLife = time.Hour
)

type sourceJSON struct {
	SourceBlob struct {
		GetURL string `json:"get_url"`
		PutURL string `json:"put_url"`
	} `json:"source_blob"`
}

// sourceCreate makes a place to upload a source to.
func (a *API) sourceCreate(c *call) (any, error) {
	if app := c.param("app"); app != "" {
		if _, err := a.Controller.App(c.ctx, app); err != nil {
			return nil, err
		}
	}
	if err := a.dropSources(time.Now().Add(-sourceLife)); err != nil {
		return nil, err
	}
	path, until := sourcePath+uuid.NewString(), time.Now().Add(sourceLife)
	var out sourceJSON
	out.SourceBlob.PutURL = a.sign.url(c.base(), http.MethodPut, path, nil, until)
	// The builder reads it, over plain HTTP.
	out.SourceBlob.GetURL = a.sign.url(a.BaseURL, http.MethodGet, path, nil, until)
	return out, nil
}

// dropSources removes the sources that nobody can ask for any more.
func (a *API) dropSources(before time.Time) error {
	entries, err := os.ReadDir(a.SourcesDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if info.ModTime().Before(before) {
			if err := os.Remove(filepath.Join(a.SourcesDir, e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

// sourceFile is where the source of a request lies. Its name was signed, so
// that it is one that sourceCreate made up.
func (a *API) sourceFile(f *fiber.Ctx) string {
	return filepath.Join(a.SourcesDir, filepath.Base(f.Params("id"))+".tgz")
}

// putSource takes an upload in. It is there whole or not at all.
func (a *API) putSource(f *fiber.Ctx) error {
	if _, err := a.sign.verify(f, time.Now()); err != nil {
		f.Context().SetConnectionClose()
		return err
	}
	in := f.Context().RequestBodyStream()
	if in == nil {
		return platform.Errorf(platform.BadRequest, "There is no source in the request.")
	}
	err := a.keepSource(a.sourceFile(f), in)
	if err != nil {
		f.Context().SetConnectionClose()
		return err
	}
	return f.SendStatus(http.StatusOK)
}

func (a *API) keepSource(path string, in io.Reader) error {
	if err := os.MkdirAll(a.SourcesDir, 0o700); err != nil {
		return err
	}
	file, err := renameio.NewPendingFile(path, renameio.WithPermissions(0o600))
	if err != nil {
		return err
	}
	defer file.Cleanup()
	n, err := io.Copy(file, io.LimitReader(in, maxSource+1))
	var disk *fs.PathError
	switch {
	case errors.As(err, &disk):
		return platform.Errorf(platform.Unavailable, "The source could not be kept: %v.", disk.Err)
	case err != nil:
		return platform.Errorf(platform.BadRequest, "The upload broke off after %d bytes.", n)
	case n > maxSource:
		return platform.Errorf(platform.RequestTooLarge, "The source is larger than %d bytes.", maxSource)
	}
	return file.CloseAtomicallyReplace()
}

func (a *API) getSource(f *fiber.Ctx) error {
	if _, err := a.sign.verify(f, time.Now()); err != nil {
		return err
	}
	file, err := os.Open(a.sourceFile(f))
	if errors.Is(err, fs.ErrNotExist) {
		return notThere()
	}
	if err != nil {
		return err
	}
	return sendFile(f, file)
}

// slugURL is where a slug can be fetched.
func (c *call) slugURL(s platform.Slug) string {
	return c.api.sign.url(c.base(), http.MethodGet, slugPath+s.ID, nil, lasting(time.Now()))
}

func (a *API) getSlug(f *fiber.Ctx) error {
	if _, err := a.sign.verify(f, time.Now()); err != nil {
		return err
	}
	file, err := a.Controller.OpenSlug(f.Params("id"))
	if err != nil {
		return err
	}
	return sendFile(f, file)
}

// sendFile answers with a gzipped tar, and closes it.
func sendFile(f *fiber.Ctx, file *os.File) error {
	info, err := file.Stat()
	if err != nil {
		return errors.Join(err, file.Close())
	}
	f.Set(fiber.HeaderContentType, "application/gzip")
	f.Set(fiber.HeaderCacheControl, "no-store")
	return f.SendStream(file, int(info.Size())) // fasthttp closes it
}
