package platform

import "fmt"

// Error is what a client is told: an id to program against and a message that
// says what to do. It crosses the wire and comes back the same. Any other
// error is internal: logged, never shown.
type Error struct {
	ID       string `json:"id"`
	Message  string `json:"message"`
	Resource string `json:"resource,omitempty"` // the noun that was not found: app, add_on
	URL      string `json:"url,omitempty"`
	App      string `json:"-"` // name of the app to confirm
}

// Error ids of the Platform API.
const (
	BadRequest           = "bad_request"
	Unauthorized         = "unauthorized"
	Forbidden            = "forbidden"
	NotFound             = "not_found"
	Conflict             = "conflict"
	RequestTooLarge      = "request_too_large"
	InvalidParams        = "invalid_params"
	MultipleMatches      = "multiple_matches"
	ConfirmationRequired = "confirmation_required"
	RateLimit            = "rate_limit"
	Unavailable          = "unavailable"
)

func (e *Error) Error() string { return e.Message }

// Errorf makes an Error with the id and a formatted message.
func Errorf(id, format string, args ...any) *Error {
	return &Error{ID: id, Message: fmt.Sprintf(format, args...)}
}

// Missing says that no such resource exists, in the words the official
// clients match on: resource is "app", "add_on", "add_on attachment".
func Missing(resource string) *Error {
	names := map[string]string{"add_on": "add-on", "add_on attachment": "add-on attachment", "sni_endpoint": "SNI endpoint"}
	name, ok := names[resource]
	if !ok {
		name = resource
	}
	return &Error{ID: NotFound, Resource: resource, Message: fmt.Sprintf("Couldn't find that %s.", name)}
}

// Invalid says that a request cannot be carried out as it is.
func Invalid(format string, args ...any) *Error { return Errorf(InvalidParams, format, args...) }
