package api

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gofiber/fiber/v2"

	"niwa/platform"
)

func basic(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

func TestATokenIsTakenInEveryForm(t *testing.T) {
	t.Parallel()
	s := open(t)
	for name, header := range map[string]string{
		"bearer":                   "Bearer " + s.token,
		"bearer in lower case":     "bearer " + s.token,
		"basic with an empty user": basic("", s.token),
		"basic as git sends it":    basic("heroku", s.token),
		"basic with an email":      basic(email, s.token),
		"basic, the token as user": basic(s.token, ""),
	} {
		if got := s.send("GET", "/account", nil, "Authorization", header); got.status != 200 {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
	for name, header := range map[string]string{
		"none":                "",
		"another token":       "Bearer HRKU-wrong",
		"an empty one":        "Bearer ",
		"another scheme":      "Digest " + s.token,
		"malformed basic":     "Basic %%%",
		"a token and no more": s.token,
	} {
		s.send("GET", "/account", nil, "Authorization", header).fails(401, map[string]any{"id": "unauthorized"})
		if got := s.send("GET", "/x.git/info/refs", nil, "Authorization", header); got.status != 401 {
			t.Errorf("git, %s: %d", name, got.status)
		}
	}
}

func TestEveryRouteButTheOpenOnesNeedsAToken(t *testing.T) {
	t.Parallel()
	s := open(t)
	for _, r := range append(s.api.routes(), s.api.dataRoutes()...) {
		path := strings.NewReplacer(":", "x").Replace(r.path)
		if got := s.send(r.method, path, nil); got.status != 401 {
			t.Errorf("%s %s without a token: %d", r.method, path, got.status)
		}
	}
}

func TestGitIsAskedForAPassword(t *testing.T) {
	t.Parallel()
	s := open(t, func(r fiber.Router) {
		r.Get("/:app.git/info/refs", func(c *fiber.Ctx) error { return c.SendString("refs of " + c.Params("app")) })
	})
	got := s.send("GET", "/garden.git/info/refs", nil)
	if got.want(401); got.header.Get("WWW-Authenticate") != `Basic realm="niwa"` {
		t.Errorf("challenge: %v", got.header)
	}
	if got := s.send("GET", "/garden.git/info/refs", nil, "Authorization", basic("heroku", s.token)).want(200); string(got.body) != "refs of garden" {
		t.Errorf("body: %s", got.body)
	}
	if got := s.send("GET", "/apps", nil); got.header.Get("WWW-Authenticate") != "" {
		t.Error("the API challenges, which makes browsers ask for a password")
	}
}

func TestCallsAreCountedByTheHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l limits
		for i := range hourly {
			if remaining, ok := l.take("a", time.Now()); !ok || remaining != hourly-1-i {
				t.Fatalf("call %d: %d left, %v", i, remaining, ok)
			}
		}
		if _, ok := l.take("a", time.Now()); ok {
			t.Error("a call too many was let through")
		}
		if _, ok := l.take("b", time.Now()); !ok {
			t.Error("another token pays for the first")
		}
		time.Sleep(time.Hour / 10)
		if left := l.left("a", time.Now()); left != hourly/10 {
			t.Errorf("%d are back after a tenth of an hour", left)
		}
	})
}

func TestACallTooManyIsRefused(t *testing.T) {
	t.Parallel()
	s := open(t)
	first := s.do("GET", "/account", nil).want(200)
	second := s.do("GET", "/account/rate-limits", nil).want(200)
	if first.header.Get("RateLimit-Remaining") != "4499" || fmt.Sprint(second.at("remaining")) != "4498" {
		t.Errorf("remaining: %s, then %s", first.header.Get("RateLimit-Remaining"), second.body)
	}
	all, err := s.controller.Authorizations(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for ok := true; ok; {
		_, ok = s.api.limits.take(all[0].ID, time.Now())
	}
	got := s.do("GET", "/account", nil)
	got.fails(429, map[string]any{"id": "rate_limit"})
	if got.header.Get("RateLimit-Remaining") != "0" {
		t.Errorf("headers: %v", got.header)
	}
}

func TestARequestCarriesItsIdsAndATag(t *testing.T) {
	t.Parallel()
	s := open(t)
	s.app("garden")
	got := s.do("GET", "/apps/garden", nil, "Request-Id", "one,two").want(200)
	if ids := strings.Split(got.header.Get("Request-Id"), ","); len(ids) != 3 || ids[0] != "one" || len(ids[2]) != 36 {
		t.Errorf("Request-Id: %v", ids)
	}
	if long := s.do("GET", "/apps/garden", nil, "Request-Id", strings.Repeat("x", 7000)).want(200).header.Get("Request-Id"); len(long) != 7037 {
		t.Errorf("a long Request-Id came back with %d bytes", len(long))
	}
	tag := got.header.Get("ETag")
	for _, header := range []string{tag, "W/" + tag, `"other", ` + tag, "*"} {
		if again := s.do("GET", "/apps/garden", nil, "If-None-Match", header).want(304); len(again.body) != 0 || again.header.Get("ETag") != tag {
			t.Errorf("%s: %s %v", header, again.body, again.header)
		}
	}
	s.do("GET", "/apps/garden", nil, "If-None-Match", `"other"`).want(200)
	s.do("PATCH", "/apps/garden", map[string]any{"maintenance": true}, "If-None-Match", "*").want(200)
	s.do("GET", "/apps/garden", nil, "If-None-Match", tag).want(200)
}

func TestEveryErrorIdHasAStatus(t *testing.T) {
	t.Parallel()
	for _, id := range []string{
		platform.BadRequest, platform.Unauthorized, platform.Forbidden, platform.NotFound, platform.Conflict,
		platform.RequestTooLarge, platform.InvalidParams, platform.MultipleMatches, platform.ConfirmationRequired,
		platform.RateLimit, platform.Unavailable, internal, rangeNotSatisfiable,
	} {
		if statusOf(id) < 400 {
			t.Errorf("%s has no status", id)
		}
	}
}

func TestWhatIsNowhereSaysSo(t *testing.T) {
	t.Parallel()
	s := open(t)
	for _, request := range [][2]string{{"GET", "/nowhere"}, {"DELETE", "/apps"}, {"PUT", "/apps/garden"}, {"POST", "/account"}, {"GET", "/"}, {"GET", "/apps/a/b/c/d"}} {
		s.do(request[0], request[1], nil).fails(404, map[string]any{"id": "not_found", "message": noEndpoint().Message})
	}
}

func TestAuthorizationsAreMadeShownAndRevoked(t *testing.T) {
	t.Parallel()
	s := open(t)
	made := s.send("POST", "/oauth/authorizations", map[string]any{"description": "Heroku CLI login", "expires_in": 2592000, "scope": []string{"global"}},
		"Authorization", basic(email, s.token)).want(201)
	s.validate("POST", "/oauth/authorizations", made)
	token := made.text("access_token", "token")
	if s.send("GET", "/account", nil, "Authorization", "Bearer "+token).want(200).text("email") != made.text("user", "email") {
		t.Error("the new token speaks for another")
	}
	shown := s.do("GET", "/oauth/authorizations/"+made.text("id"), nil).want(200).text("access_token", "token")
	if shown != "**********"+token[len(token)-4:] {
		t.Errorf("shown: %s", shown)
	}
	if s.do("GET", "/oauth/authorizations/~", nil).want(200).text("description") != "niwa" {
		t.Error("~ is not niwa's own token")
	}
	if n := len(s.do("GET", "/oauth/authorizations", nil).want(200).names("id")); n != 2 {
		t.Errorf("%d authorizations", n)
	}
	s.do("DELETE", "/oauth/sessions/~", nil).fails(404, map[string]any{"id": "not_found", "resource": "session"})
	s.do("DELETE", "/oauth/authorizations/"+made.text("id"), nil).want(200)
	s.send("GET", "/account", nil, "Authorization", "Bearer "+token).fails(401, map[string]any{"id": "unauthorized"})
	s.do("GET", "/oauth/authorizations/"+made.text("id"), nil).fails(404, map[string]any{"resource": "authorization"})
	s.do("POST", "/oauth/authorizations", map[string]any{"scope": []string{"read"}}).fails(422, map[string]any{"id": "invalid_params"})
	s.do("POST", "/oauth/authorizations", map[string]any{"expires_in": 0}).fails(422, map[string]any{"id": "invalid_params"})
}
