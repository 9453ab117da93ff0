package api

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"
	"github.com/valyala/fasthttp"

	"niwa/platform"
)

// Where a request's own id lies among its locals.
const requestIDLocal = "request_id"

func requestID(c *fiber.Ctx) string {
	id, _ := c.Locals(requestIDLocal).(string)
	return id
}

// routeOf names a request in the log: by its route, because addresses may be
// secrets.
func routeOf(c *fiber.Ctx) string { return c.Route().Path }

// observe gives a request its id, logs how it went and turns a panic into an
// error that the client gets.
func (a *API) observe(c *fiber.Ctx) (err error) {
	begun := time.Now()
	id := uuid.NewString()
	c.Locals(requestIDLocal, id)
	c.Set("Request-Id", withCallers(c.Get("Request-Id"), id))
	c.Set("X-Content-Type-Options", "nosniff")
	defer func() {
		if p := recover(); p != nil {
			a.Log.Error("panic", "request_id", id, "route", routeOf(c), "panic", p, "stack", string(debug.Stack()))
			err = a.fail(c, platform.Errorf(internal, "Internal server error; niwa's own log has more under request id %s.", id))
		}
		a.Log.Debug("request", "request_id", id, "method", c.Method(), "route", routeOf(c),
			"status", c.Response().StatusCode(), "took", time.Since(begun).Round(time.Microsecond))
	}()
	if err := c.Next(); err != nil {
		return a.fail(c, err)
	}
	return nil
}

// maxCallers bounds how much of a caller's Request-Id is given back.
const maxCallers = 8 << 10

// withCallers appends a request's own id to those its caller sent.
func withCallers(sent, id string) string {
	odd := strings.ContainsFunc(sent, func(r rune) bool { return r < ' ' || r > '~' })
	if sent == "" || odd || len(sent) > maxCallers {
		return id
	}
	return sent + "," + id
}

// maxDrain is how much of a body that is too large is read, so that the client
// gets to read the answer.
const maxDrain = 16 << 20

// body reads the body of a JSON request before anything is done about it, so
// that no part of it is left in the connection. Pushes and sources, which are
// larger, are read by their handlers.
func (a *API) body(c *fiber.Ctx) error {
	if streamsIn(c.Method(), c.Path()) {
		return c.Next()
	}
	in := c.Context().RequestBodyStream()
	if in == nil {
		return c.Next()
	}
	body, err := io.ReadAll(io.LimitReader(in, maxBody+1))
	if err != nil {
		c.Context().SetConnectionClose()
		return platform.Errorf(platform.BadRequest, "The request broke off.")
	}
	if len(body) > maxBody {
		n, err := io.CopyN(io.Discard, in, maxDrain)
		c.Context().SetConnectionClose()
		if err != io.EOF {
			a.Log.Debug("gave up on an oversized body", "read", n, "error", err)
		}
		return tooLarge()
	}
	c.Request().SetBodyRaw(body)
	return c.Next()
}

// streamsIn says that the body of a request is read by its handler: a push's,
// a source's.
func streamsIn(method, path string) bool {
	return isGit(path) || method == http.MethodPut && strings.HasPrefix(path, sourcePath)
}

// isGit says that an address belongs to a repository: /APP.git/...
func isGit(path string) bool {
	first, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return strings.HasSuffix(first, ".git")
}

// patience gives pushes and sources the time they need to arrive.
func patience(h *fasthttp.RequestHeader) fasthttp.RequestConfig {
	path, _, _ := bytes.Cut(h.RequestURI(), []byte("?"))
	if streamsIn(string(h.Method()), string(path)) {
		return fasthttp.RequestConfig{ReadTimeout: sendTimeout}
	}
	return fasthttp.RequestConfig{ReadTimeout: readTimeout}
}

// behindAuth guards the addresses of git, which asks for a password only when
// it is told to.
func (a *API) behindAuth(c *fiber.Ctx) error {
	if !isGit(c.Path()) {
		return c.Next()
	}
	token, ok := credentials(c.Get(fiber.HeaderAuthorization))
	err := error(unauthorized())
	if ok {
		_, err = a.Controller.Authenticate(a.ctx, token)
	}
	if err != nil {
		c.Set(fiber.HeaderWWWAuthenticate, fmt.Sprintf("Basic realm=%q", "niwa"))
		if c.Context().RequestBodyStream() != nil {
			c.Context().SetConnectionClose() // what was sent is not read
		}
		return err
	}
	return c.Next()
}
