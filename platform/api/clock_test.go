package api

import (
	"net/http"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"
)

// A clock that is set forward ends URLs, tokens and logins early, as it must
// where only it can tell; one that is set back ends none, and lets none live
// for longer than the clock says.
func TestWhatExpiresFollowsTheClockAndNothingElse(t *testing.T) {
	noon := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	sign := signer{key: []byte("key")}
	url := sign.url("", http.MethodGet, "/blobs/slugs/one", nil, noon.Add(sourceLife))
	request := &fasthttp.RequestCtx{}
	request.Request.SetRequestURI(url)
	f := fiber.New().AcquireCtx(request)

	logins := logins{}
	id, _, ok := logins.begin("a login", noon)
	if !ok {
		t.Fatal("no login could be begun")
	}
	for _, c := range []struct {
		name       string
		to         time.Time
		url, login bool // still good
	}{
		{"as it was", noon, true, true},
		{"back by a day", noon.AddDate(0, 0, -1), true, true},
		{"on by a minute", noon.Add(time.Minute), true, true},
		{"on by a year", noon.AddDate(1, 0, 0), false, false},
		{"on by a year and back", noon.Add(time.Minute), true, true},
	} {
		if _, err := sign.verify(f, c.to); (err == nil) != c.url {
			t.Errorf("%s: the URL: %v", c.name, err)
		}
		if _, err := logins.find(id, c.to); (err == nil) != c.login {
			t.Errorf("%s: the login: %v", c.name, err)
		}
	}

	// Calls that are counted are given back with time, and a clock that goes
	// back takes none.
	var limits limits
	for range 10 {
		limits.take("token", noon)
	}
	if left, ok := limits.take("token", noon.AddDate(0, 0, -1)); !ok || left < hourly-12 {
		t.Errorf("a day back %d calls are left", left)
	}
	if left, ok := limits.take("token", noon.AddDate(1, 0, 0)); !ok || left != hourly-1 {
		t.Errorf("a year on %d calls are left", left)
	}
	if left, ok := limits.take("token", noon); !ok || left < hourly-3 {
		t.Errorf("back again %d calls are left", left)
	}
}
