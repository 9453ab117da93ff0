package api

import (
	"context"
	"errors"
	"net/http"

	"github.com/gofiber/fiber/v2"

	"niwa/platform"
)

// Error ids that only HTTP knows.
const (
	internal            = "internal_server_error"
	rangeNotSatisfiable = "requested_range_not_satisfiable"
)

// statusOf is the one table of error ids and statuses; 0 means that the id is
// none that crosses the wire.
// Source: https://devcenter.heroku.com/articles/platform-api-reference#errors
func statusOf(id string) int {
	switch id {
	case platform.BadRequest:
		return http.StatusBadRequest
	case platform.Unauthorized:
		return http.StatusUnauthorized
	case platform.Forbidden:
		return http.StatusForbidden
	case platform.NotFound:
		return http.StatusNotFound
	case platform.Conflict:
		return http.StatusConflict
	case platform.RequestTooLarge:
		return http.StatusRequestEntityTooLarge
	case rangeNotSatisfiable:
		return http.StatusRequestedRangeNotSatisfiable
	case platform.InvalidParams, platform.MultipleMatches:
		return http.StatusUnprocessableEntity
	case platform.ConfirmationRequired:
		return http.StatusLocked
	case platform.RateLimit:
		return http.StatusTooManyRequests
	case internal:
		return http.StatusInternalServerError
	case platform.Unavailable:
		return http.StatusServiceUnavailable
	}
	return 0
}

// errorJSON is the body of every error.
type errorJSON struct {
	ID       string   `json:"id"`
	Message  string   `json:"message"`
	Resource string   `json:"resource,omitempty"`
	URL      string   `json:"url,omitempty"`
	App      *appName `json:"app,omitempty"`
}

type appName struct {
	Name string `json:"name"`
}

// fail answers a request with an error. One that is not meant for clients is
// logged and told as internal.
func (a *API) fail(c *fiber.Ctx, err error) error {
	e, status := a.told(c, err)
	body := errorJSON{ID: e.ID, Message: e.Message, Resource: e.Resource, URL: e.URL}
	if e.App != "" {
		body.App = &appName{e.App}
	}
	return sendJSON(c, status, body)
}

// told words an error for the client.
func (a *API) told(c *fiber.Ctx, err error) (*platform.Error, int) {
	var e *platform.Error
	var refused *fiber.Error
	switch {
	case errors.As(err, &e) && statusOf(e.ID) != 0:
		return e, statusOf(e.ID)
	case errors.As(err, &refused):
		return ofHTTP(refused.Code), refused.Code
	case errors.Is(err, context.Canceled) && a.ctx.Err() != nil:
		return platform.Errorf(platform.Unavailable, "niwa is stopping."), http.StatusServiceUnavailable
	}
	a.Log.Error("request failed", "request_id", requestID(c), "method", c.Method(), "route", routeOf(c), "error", err)
	return platform.Errorf(internal, "Internal server error; niwa's own log has more under request id %s.", requestID(c)), statusOf(internal)
}

// ofHTTP words what the HTTP server itself refused.
func ofHTTP(status int) *platform.Error {
	switch {
	case status == http.StatusRequestEntityTooLarge:
		return tooLarge()
	case status == http.StatusRequestHeaderFieldsTooLarge:
		return platform.Errorf(platform.BadRequest, "The headers of the request are larger than %d bytes.", maxHeader)
	case status == http.StatusRequestTimeout:
		return platform.Errorf(platform.BadRequest, "The request did not arrive within %v.", readTimeout)
	case status >= 500:
		return platform.Errorf(internal, "Internal server error.")
	case status == http.StatusNotFound || status == http.StatusMethodNotAllowed:
		return noEndpoint()
	}
	return platform.Errorf(platform.BadRequest, "The request is malformed: %s.", http.StatusText(status))
}

func tooLarge() *platform.Error {
	return platform.Errorf(platform.RequestTooLarge, "The request body is larger than %d bytes.", maxBody)
}

func noEndpoint() *platform.Error {
	return platform.Errorf(platform.NotFound, "The requested API endpoint was not found. Are you using the right HTTP verb (i.e. `GET` vs. `POST`), and did you specify your intended version with the `Accept` header?")
}
