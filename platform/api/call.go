package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/gofiber/fiber/v2"

	"niwa/platform"
)

// call is one authenticated request to a handler.
type call struct {
	*fiber.Ctx
	api           *API
	ctx           context.Context // ends when the API is gone, not with the client
	account       platform.Account
	authorization platform.Authorization
	params        map[string]string
	apps          map[string]platform.App // those looked up so far, by id
	partial       bool                    // the answer is one page of several
}

// handle makes a row of the table a handler of HTTP.
func (a *API) handle(r route) fiber.Handler {
	return func(f *fiber.Ctx) error {
		c, err := a.authenticate(f)
		if err != nil {
			return err
		}
		if c.params, err = paramsOf(f); err != nil {
			return err
		}
		out, err := r.handle(c)
		if err != nil {
			return err
		}
		return c.answer(r.status, out)
	}
}

// handleData is handle for the Data API: its clients take an add-on for one
// that is still being provisioned only when a 404 carries no message.
func (a *API) handleData(r route) fiber.Handler {
	handle := a.handle(r)
	return func(f *fiber.Ctx) error {
		err := handle(f)
		var e *platform.Error
		if errors.As(err, &e) && e.ID == platform.NotFound {
			return sendJSON(f, http.StatusNotFound, struct{}{})
		}
		return err
	}
}

// maxParam bounds what an address may name something.
const maxParam = 1024

// paramsOf reads the parameters of an address, which may be escaped: the URL
// of a buildpack is one.
func paramsOf(f *fiber.Ctx) (map[string]string, error) {
	params := map[string]string{}
	for _, name := range f.Route().Params {
		value, err := url.PathUnescape(f.Params(name))
		if err != nil || !utf8.ValidString(value) || strings.ContainsRune(value, 0) || len(value) > maxParam {
			return nil, platform.Errorf(platform.BadRequest, "The %s in the address of the request is malformed.", name)
		}
		params[name] = value
	}
	return params, nil
}

// param is a parameter of the address: param("app") for /apps/:app.
func (c *call) param(name string) string { return c.params[name] }

// wants says whether a header that lists things lists this one.
func (c *call) wants(header, thing string) bool {
	for part := range strings.SplitSeq(c.Get(header), ",") {
		if strings.TrimSpace(part) == thing {
			return true
		}
	}
	return false
}

// base is where the client reaches the API.
func (c *call) base() string {
	if c.Context().IsTLS() && c.api.SecureURL != "" {
		return c.api.SecureURL
	}
	return c.api.BaseURL
}

// appOf finds the app with an id, once per call.
func (c *call) appOf(id string) (platform.App, error) {
	if app, ok := c.apps[id]; ok {
		return app, nil
	}
	app, err := c.api.Controller.App(c.ctx, id)
	if err == nil {
		c.apps[id] = app
	}
	return app, err
}

// answer sends what a handler returned. nil is an empty object, as Heroku
// answers where there is nothing to say.
func (c *call) answer(status int, out any) error {
	if out == nil {
		out = struct{}{}
	}
	if c.partial {
		status = http.StatusPartialContent
	}
	c.Set(fiber.HeaderCacheControl, "private, no-cache")
	c.Set(fiber.HeaderVary, "Authorization, Accept")
	body, err := encode(out)
	if err != nil {
		return err
	}
	if c.Method() == http.MethodGet {
		tag := etag(body)
		c.Set(fiber.HeaderETag, tag)
		if status == http.StatusOK && known(c.Get(fiber.HeaderIfNoneMatch), tag) {
			c.Status(http.StatusNotModified)
			return nil
		}
	}
	return send(c.Ctx, status, body)
}

func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

func etag(body []byte) string {
	sum := sha256.Sum256(body)
	return `"` + hex.EncodeToString(sum[:16]) + `"`
}

// known says whether an If-None-Match header holds the tag.
func known(header, tag string) bool {
	for part := range strings.SplitSeq(header, ",") {
		part = strings.TrimPrefix(strings.TrimSpace(part), "W/")
		if part == tag || part == "*" {
			return true
		}
	}
	return false
}

func sendJSON(c *fiber.Ctx, status int, v any) error {
	body, err := encode(v)
	if err != nil {
		return err
	}
	return send(c, status, body)
}

func send(c *fiber.Ctx, status int, body []byte) error {
	c.Set(fiber.HeaderContentType, fiber.MIMEApplicationJSON)
	return c.Status(status).Send(body)
}
