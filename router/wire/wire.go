// Package wire is the grammar of HTTP/1.1, as strict as the RFC lets a router
// be (RFC 9110, RFC 9112) and within Heroku's limits
// (https://devcenter.heroku.com/articles/http-routing#http-validation-and-restrictions).
// It takes bytes and does no I/O, and allocates nothing once its values are
// warm.
//
// What two parsers could read in two ways is refused, not repaired: a line ends
// with CR LF and nothing else does, one space separates, a field has no fold, a
// length is digits. What is let through is passed on normalised, so that
// whoever reads it next can read it in one way only.
package wire

// Limits of a request, Heroku's where it has one.
const (
	MaxMethod = 127
	MaxTarget = 8200 // documented as 8,192, but its own tests let 8,200 pass
	MaxName   = 1000
	MaxValue  = 8192
	MaxFields = 1000
	MaxHead   = 1 << 20 // of all lines together; Heroku documents none
	maxBlanks = 5       // empty lines before a request
)

// Limits of a response.
const (
	MaxStatusLine = 8192
	MaxCookie     = 8192
	MaxLine       = 512 << 10
)

// Limits of chunks. A line of theirs is at most a trailer: name, colon, value.
const (
	maxSizeDigits = 16
	maxExtension  = 4096
	MaxChunkLine  = MaxName + MaxValue + 16
	maxTrailers   = 64 << 10
)

// RequestError is a request that goes to no dyno, and the status that says so.
type RequestError struct {
	Status int
	Reason string
}

func (e *RequestError) Error() string { return e.Reason }

func bad(reason string) error { return &RequestError{400, reason} }

// ResponseError is an answer of a dyno that goes to no client.
type ResponseError string

func (e ResponseError) Error() string { return string(e) }

// What can be wrong with an answer: its grammar, which is H17, or what H25
// names.
const (
	Malformed           ResponseError = "poorly formatted response"
	InvalidLength       ResponseError = "invalid content length"
	InvalidCoding       ResponseError = "invalid transfer encoding"
	OversizedStatusLine ResponseError = "oversized status line"
	OversizedHeader     ResponseError = "oversized header"
	OversizedCookie     ResponseError = "oversized cookie"
)
