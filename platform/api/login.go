package api

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gofiber/fiber/v2"

	"niwa/platform"
)

const (
	// loginLife is how long a login may take, as long as the official CLI
	// waits for one.
	loginLife = 10 * time.Minute
	// maxLogins bounds the logins under way: anybody can begin one.
	maxLogins = 64
	// cliLifetime is how long a token from a login lasts, as on Heroku.
	cliLifetime = 30 * 24 * time.Hour
)

// logins are the browser logins under way: the client waits, while the user
// shows a token to a page.
type logins struct {
	mu   sync.Mutex
	byID map[string]*login
}

type login struct {
	secret      string // by which the client shows that it began the login
	description string
	begun       time.Time
	token       chan string // gets the new token, once
	shown       bool        // the user has shown a token; what is left is for the client
}

// begin starts a login, unless too many are under way.
func (l *logins) begin(description string, now time.Time) (id string, started *login, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.byID == nil {
		l.byID = map[string]*login{}
	}
	for id, old := range l.byID {
		if now.Sub(old.begun) > loginLife {
			delete(l.byID, id)
		}
	}
	if len(l.byID) >= maxLogins {
		return "", nil, false
	}
	id = rand.Text()
	started = &login{secret: rand.Text(), description: description, begun: now, token: make(chan string, 1)}
	l.byID[id] = started
	return id, started, true
}

func (l *logins) find(id string, now time.Time) (*login, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	found := l.byID[id]
	if found == nil || now.Sub(found.begun) > loginLife {
		return nil, notThere()
	}
	return found, nil
}

// finish takes note that the user has shown a token; false when somebody has
// before.
func (l *logins) finish(id string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	found := l.byID[id]
	if found == nil || found.shown {
		return false
	}
	found.shown = true
	return true
}

// drop forgets a login whose client has its token.
func (l *logins) drop(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.byID, id)
}

// loginBegin answers the client with the page to open and where to wait.
func (a *API) loginBegin(f *fiber.Ctx) error {
	var in struct {
		Description string `json:"description"`
	}
	if err := decode(f.Body(), &in); err != nil {
		return err
	}
	if err := tooLong("description", in.Description, maxText); err != nil {
		return err
	}
	id, started, ok := a.logins.begin(in.Description, time.Now())
	if !ok {
		return platform.Errorf(platform.RateLimit, "%d logins are under way; finish one, or wait %v.", maxLogins, loginLife)
	}
	return sendJSON(f, http.StatusCreated, map[string]string{
		"browser_url": "/auth/browser/" + id, "cli_url": "/auth/cli/" + id, "token": started.secret,
	})
}

// loginPage asks for the token.
func (a *API) loginPage(f *fiber.Ctx) error {
	l, err := a.logins.find(f.Params("id"), time.Now())
	if err != nil {
		return err
	}
	return a.page(f, http.StatusOK, "login.html", map[string]any{"Description": l.description})
}

// loginFinish checks the token that the user showed, and gives the client one
// of its own.
func (a *API) loginFinish(f *fiber.Ctx) error {
	id := f.Params("id")
	l, err := a.logins.find(id, time.Now())
	if err != nil {
		return err
	}
	shown := strings.TrimSpace(f.FormValue("token"))
	if _, err := a.Controller.Authenticate(a.ctx, shown); err != nil {
		return a.page(f, http.StatusUnauthorized, "login.html", map[string]any{"Description": l.description, "Wrong": true})
	}
	if !a.logins.finish(id) {
		return notThere()
	}
	_, token, err := a.Controller.CreateAuthorization(a.ctx, l.description, cliLifetime)
	if err != nil {
		return err
	}
	l.token <- token
	return a.page(f, http.StatusOK, "login.html", map[string]any{"Description": l.description, "Done": true})
}

// loginWait keeps the client waiting until the user has shown a token.
func (a *API) loginWait(f *fiber.Ctx) error {
	id := f.Params("id")
	l, err := a.logins.find(id, time.Now())
	if err != nil {
		return err
	}
	secret, ok := credentials(f.Get(fiber.HeaderAuthorization))
	if !ok || subtle.ConstantTimeCompare([]byte(secret), []byte(l.secret)) != 1 {
		return unauthorized()
	}
	ctx, cancel := context.WithDeadline(a.streams, l.begun.Add(loginLife))
	defer cancel()
	select {
	case token := <-l.token:
		a.logins.drop(id)
		f.Set(fiber.HeaderCacheControl, "no-store")
		return sendJSON(f, http.StatusOK, map[string]string{"access_token": token})
	case <-ctx.Done():
		return sendJSON(f, http.StatusOK, map[string]string{"error": "The login was not finished within " + loginLife.String() + ", or niwa stopped."})
	}
}
