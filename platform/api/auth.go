package api

import (
	"encoding/base64"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gofiber/fiber/v2"
	"golang.org/x/time/rate"

	"niwa/platform"
)

// credentials reads the token of an Authorization header: Bearer, or the
// password of Basic, or its user name when there is no password, as curl -u
// sends a token alone.
func credentials(header string) (token string, ok bool) {
	scheme, rest, _ := strings.Cut(strings.TrimSpace(header), " ")
	rest = strings.TrimSpace(rest)
	switch strings.ToLower(scheme) {
	case "bearer":
		token = rest
	case "basic":
		plain, err := base64.StdEncoding.DecodeString(rest)
		if err != nil {
			return "", false
		}
		user, password, _ := strings.Cut(string(plain), ":")
		if token = password; token == "" {
			token = user
		}
	}
	return token, token != ""
}

func unauthorized() *platform.Error {
	return platform.Errorf(platform.Unauthorized, "Invalid credentials provided.")
}

// authenticate finds out who calls, and counts the call.
func (a *API) authenticate(f *fiber.Ctx) (*call, error) {
	token, ok := credentials(f.Get(fiber.HeaderAuthorization))
	if !ok {
		return nil, unauthorized()
	}
	authorization, err := a.Controller.Authenticate(a.ctx, token)
	if err != nil {
		return nil, err
	}
	remaining, ok := a.limits.take(authorization.ID, time.Now())
	f.Set("RateLimit-Remaining", strconv.Itoa(remaining))
	f.Set("RateLimit-Multiplier", "1")
	if !ok {
		f.Set(fiber.HeaderRetryAfter, "1")
		return nil, platform.Errorf(platform.RateLimit, "Your account reached the API rate limit. Please wait a few minutes before making new requests.")
	}
	account, err := a.Controller.Account(a.ctx)
	if err != nil {
		return nil, err
	}
	return &call{Ctx: f, api: a, ctx: a.ctx, account: account, authorization: authorization, apps: map[string]platform.App{}}, nil
}

// hourly is how many calls a token may make in an hour; as many may come at
// once.
// Source: https://devcenter.heroku.com/articles/platform-api-reference#rate-limits
const hourly = 4500

// limits counts the calls of each token.
type limits struct {
	mu       sync.Mutex
	byHolder map[string]*rate.Limiter // by id of the authorization
}

// take takes one call off what a token has left. It returns what is left, and
// false when nothing was.
func (l *limits) take(id string, now time.Time) (remaining int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.byHolder == nil {
		l.byHolder = map[string]*rate.Limiter{}
	}
	limiter := l.byHolder[id]
	if limiter == nil {
		limiter = rate.NewLimiter(rate.Every(time.Hour/hourly), hourly)
		l.byHolder[id] = limiter
	}
	ok = limiter.AllowN(now, 1)
	return max(0, int(limiter.TokensAt(now))), ok
}

// left is what a token has left, without counting.
func (l *limits) left(id string, now time.Time) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if limiter := l.byHolder[id]; limiter != nil {
		return max(0, int(limiter.TokensAt(now)))
	}
	return hourly
}

// forget drops the count of a token that is no more.
func (l *limits) forget(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.byHolder, id)
}
