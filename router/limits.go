package router

import (
	"net/http"
	"strings"
)

// Heroku's limits of a request
// (https://devcenter.heroku.com/articles/http-routing#http-validation-and-restrictions).
const (
	maxTarget     = 8192
	maxMethod     = 127
	maxHeaderName = 1000
	maxHeaderLine = 8192
	maxHeaders    = 1000
)

// refusedStatus is the status of a request that goes to no app at all, or 0.
// net/http has checked the grammar of HTTP/1.1, but less of HTTP/2, whose
// method and path become the first line of the request to the dyno.
func refusedStatus(r *http.Request) int {
	switch to := target(r); {
	case r.Method == http.MethodConnect:
		return http.StatusMethodNotAllowed
	case len(r.Method) > maxMethod || !isToken(r.Method):
		return http.StatusBadRequest
	case len(r.RequestURI) > maxTarget:
		return http.StatusRequestURITooLong
	case to == "*" && r.Method != http.MethodOptions:
		return http.StatusBadRequest
	case to != "*" && !strings.HasPrefix(to, "/"), strings.ContainsFunc(to, blankOrControl):
		return http.StatusBadRequest
	case r.Host == "", !headersFit(r.Header):
		return http.StatusBadRequest
	}
	if _, ok := upgradeWanted(r); !ok {
		return http.StatusBadRequest
	}
	return 0
}

// target is the path and query as the client wrote them, byte for byte: an
// absolute form loses its authority, which is in r.Host, and a fragment goes.
func target(r *http.Request) string {
	to, _, _ := strings.Cut(r.RequestURI, "#")
	if strings.HasPrefix(to, "/") || to == "*" {
		return to
	}
	_, rest, ok := strings.Cut(to, "://")
	if !ok {
		return to
	}
	switch i := strings.IndexAny(rest, "/?"); {
	case i < 0:
		return "/"
	case rest[i] == '?':
		return "/" + rest[i:]
	default:
		return rest[i:]
	}
}

func headersFit(h http.Header) bool {
	count := 0
	for name, values := range h {
		count += len(values)
		for _, value := range values {
			if len(name) > maxHeaderName || len(name)+len(value) > maxHeaderLine {
				return false
			}
		}
	}
	return count <= maxHeaders
}

func blankOrControl(r rune) bool { return r <= ' ' || r == 0x7f }

func isToken(method string) bool {
	return method != "" && !strings.ContainsFunc(method, func(r rune) bool {
		return blankOrControl(r) || r > 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
	})
}
