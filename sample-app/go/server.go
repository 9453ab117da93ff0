package main

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/gofiber/fiber/v2"
)

const (
	requestTimeout = 10 * time.Second
	defaultLimit   = 20
	maxLimit       = 100
	maxBody        = 64 << 10 // bytes
)

//go:embed page.html
var page []byte

// server answers HTTP.
type server struct{ users *Users }

func newServer(users *Users) *fiber.App {
	s, n := &server{users}, newCounters(users.outbox)
	app := fiber.New(fiber.Config{
		ErrorHandler:          answerError,
		BodyLimit:             1 << 20, // beyond it the connection is cut
		Immutable:             true,
		DisableStartupMessage: true,
		ReadTimeout:           5 * time.Second,  // for a request; a stop waits as long for a connection without one
		IdleTimeout:           90 * time.Second, // longer than the router keeps connections
	})
	app.Use(n.observe)
	app.Get("/", func(c *fiber.Ctx) error {
		return c.Type("html", "utf-8").Send(page)
	})
	app.Get("/health", s.health)
	app.Get("/metrics", n.show)
	app.Post("/users", s.create)
	app.Get("/users", s.list)
	app.Get("/users/:id", s.get)
	app.Put("/users/:id", s.update)
	app.Delete("/users/:id", s.delete)
	return app
}

func (s *server) create(c *fiber.Ctx) error {
	in, err := input(c)
	if err != nil {
		return err
	}
	user, err := s.users.Create(c.UserContext(), in)
	if err != nil {
		return err
	}
	c.Location(fmt.Sprintf("/users/%d", user.ID))
	c.Status(fiber.StatusCreated)
	return answerUser(c, user)
}

func (s *server) get(c *fiber.Ctx) error {
	id, err := userID(c)
	if err != nil {
		return err
	}
	user, how, err := s.users.Get(c.UserContext(), id)
	if how != "" {
		c.Set("X-Cache", how)
	}
	if err != nil {
		return err
	}
	if c.Get("If-None-Match") == etag(user) {
		c.Set("ETag", etag(user))
		return c.SendStatus(fiber.StatusNotModified)
	}
	return answerUser(c, user)
}

func (s *server) update(c *fiber.Ctx) error {
	id, match, err := target(c)
	if err != nil {
		return err
	}
	in, err := input(c)
	if err != nil {
		return err
	}
	user, err := s.users.Update(c.UserContext(), id, match, in)
	if err != nil {
		return err
	}
	return answerUser(c, user)
}

func (s *server) delete(c *fiber.Ctx) error {
	id, match, err := target(c)
	if err != nil {
		return err
	}
	if err := s.users.Delete(c.UserContext(), id, match); err != nil {
		return err
	}
	return c.SendStatus(fiber.StatusNoContent)
}

// list answers a page of users. The Link header has the next one: it names
// the last id seen, so that what is added meanwhile shifts nothing.
func (s *server) list(c *fiber.Ctx) error {
	limit, err := number(c.Query("limit"), defaultLimit)
	if err != nil || limit < 1 || limit > maxLimit {
		return invalid(fmt.Sprintf("limit must be a number from 1 to %d", maxLimit))
	}
	after, err := number(c.Query("after"), 0)
	if err != nil || after < 0 {
		return invalid("after must be the id of a user")
	}
	text := c.Query("q")
	if !utf8.ValidString(text) || len(text) > 100 || strings.ContainsFunc(text, unicode.IsControl) {
		return invalid("q must be a text of at most 100 bytes")
	}
	users, err := s.users.List(c.UserContext(), after, int(limit)+1, text)
	if err != nil {
		return err
	}
	if len(users) > int(limit) {
		users = users[:limit]
		next := url.Values{"limit": {strconv.FormatInt(limit, 10)}, "after": {strconv.FormatInt(users[limit-1].ID, 10)}}
		if text != "" {
			next.Set("q", text)
		}
		c.Set("Link", fmt.Sprintf(`</users?%s>; rel="next"`, next.Encode()))
	}
	return c.JSON(users)
}

// health fails without Postgres. Without the cache the app is merely slower.
func (s *server) health(c *fiber.Ctx) error {
	answer := fiber.Map{"status": "ok", "postgres": "ok", "cache": s.users.cache.State(c.UserContext())}
	if err := s.users.Ping(c.UserContext()); err != nil {
		c.Set("Retry-After", "1")
		slog.WarnContext(c.UserContext(), "Postgres does not answer", "error", err)
		answer["status"], answer["postgres"] = "failing", "down"
		c.Status(fiber.StatusServiceUnavailable)
	}
	return c.JSON(answer)
}

func answerUser(c *fiber.Ctx, user User) error {
	c.Set("ETag", etag(user))
	return c.JSON(user)
}

func etag(user User) string { return fmt.Sprintf(`"%d"`, user.Version) }

func number(text string, otherwise int64) (int64, error) {
	if text == "" {
		return otherwise, nil
	}
	return strconv.ParseInt(text, 10, 64)
}

func userID(c *fiber.Ctx) (int64, error) {
	id, err := strconv.ParseInt(c.Params("id"), 10, 64)
	if err != nil || id < 1 {
		return 0, errNotFound
	}
	return id, nil
}

// target reads which user to change, and the version it must have: 0 for any.
func target(c *fiber.Ctx) (id, match int64, err error) {
	if id, err = userID(c); err != nil {
		return 0, 0, err
	}
	header := c.Get("If-Match")
	if header == "" || header == "*" {
		return id, 0, nil
	}
	match, err = strconv.ParseInt(strings.Trim(header, `"`), 10, 64)
	if err != nil || match < 1 {
		return 0, 0, errStale
	}
	return id, match, nil
}

// input reads a user from the body.
func input(c *fiber.Ctx) (Input, error) {
	body := c.Body()
	if len(body) > maxBody {
		return Input{}, fiber.ErrRequestEntityTooLarge
	}
	if !utf8.Valid(body) || hasHalfPair(body) {
		return Input{}, badRequest("The body is not UTF-8.")
	}
	var fields map[string]string // a struct would take NAME for name
	if err := json.Unmarshal(body, &fields); err != nil || fields == nil {
		return Input{}, badRequest(`Send one JSON object like {"name": "Ada", "email": "ada@example.com"}.`)
	}
	in := Input{fields["name"], fields["email"]}
	delete(fields, "name")
	delete(fields, "email")
	if len(fields) > 0 {
		return Input{}, badRequest("A user has a name and an email, and nothing else.")
	}
	return in.clean()
}

// escape is one in JSON: a surrogate pair, half of one, or anything else.
var escape = regexp.MustCompile(`\\u[dD][89abAB]..\\u[dD][c-fC-F]..|\\u[dD]([89a-fA-F])..|\\.`)

// hasHalfPair finds half of a surrogate pair in JSON. That is no character;
// encoding/json makes another of it.
func hasHalfPair(body []byte) bool {
	return slices.ContainsFunc(escape.FindAllSubmatch(body, -1), func(m [][]byte) bool { return m[1] != nil })
}
