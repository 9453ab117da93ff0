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
	default:
		slog.ErrorContext(c.UserContext(), "request failed", "request_id", c.Locals(requestID), "error", err)
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
	case http.StatusInternalServerError:
		return "internal_server_error"
	default:
		return "bad_request"
	}
}
