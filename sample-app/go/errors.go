package main

import (
	"errors"
	"log/slog"
	"net/http"

	"github.com/gofiber/fiber/v2"
)

// apiError is what a client is told: an id to program against and a message
// for people.
type apiError struct {
	status  int
	ID      string `json:"id"`
	Message string `json:"message"`
}

func (e *apiError) Error() string { return e.Message }

var (
	errNotFound   = &apiError{http.StatusNotFound, "not_found", "There is no such user."}
	errEmailTaken = &apiError{http.StatusConflict, "conflict", "Another user has this email."}
	errDefect     = errors.New("a defect of this app")
	errStale      = &apiError{http.StatusPreconditionFailed, "precondition_failed", "The user has changed since you read it; read it again."}
)

func invalid(message string) *apiError {
	return &apiError{http.StatusUnprocessableEntity, "invalid_params", message}
}

func badRequest(message string) *apiError {
	return &apiError{http.StatusBadRequest, "bad_request", message}
}

// answerError is the one place where errors become answers. Those that nobody
// meant for a client are logged, not shown.
func answerError(c *fiber.Ctx, err error) error {
	var known *apiError
	var framework *fiber.Error
	switch {
	case errors.As(err, &known):
	case errors.As(err, &framework):
		known = &apiError{framework.Code, frameworkID(framework.Code), framework.Message}
	case errors.Is(err, errDefect):
		slog.ErrorContext(c.UserContext(), "request failed", "error", err)
		known = &apiError{http.StatusInternalServerError, "internal_error", "Something went wrong here; the log has it under the X-Request-Id."}
	default: // Postgres is away, busy or too slow
		slog.ErrorContext(c.UserContext(), "Postgres did not do it", "error", err)
		c.Set("Retry-After", "1")
		known = &apiError{http.StatusServiceUnavailable, "unavailable", "The users cannot be reached right now; try again."}
	}
	return c.Status(known.status).JSON(known)
}

func frameworkID(status int) string {
	switch status {
	case http.StatusNotFound:
		return "not_found"
	case http.StatusMethodNotAllowed:
		return "method_not_allowed"
	case http.StatusRequestEntityTooLarge:
		return "request_too_large"
	default:
		return "bad_request"
	}
}
