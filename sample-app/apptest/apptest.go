// Package apptest is the contract of the sample apps as a test of any URL:
// what they answer, in which form, and that no cache ever makes an answer
// wrong. sample-app/README.md has it in words, and sample-app/openapi.yaml is
// what each answer is held against.
//
//	go test ./sample-app/apptest -url http://users.localhost:8080
//
// It makes users of its own and removes them; others do not disturb it.
package apptest

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	random "math/rand/v2"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Options says what is known of the app under test.
type Options struct {
	// Cached says that the app has a cache that works: a second read hits it.
	Cached bool
	// Also has the URLs of other dynos of the same app. Each request goes to
	// any of them.
	Also []string
	// Storms are gone through one after the other, after a quiet one.
	Storms []Storm
}

// Run tests the app at a URL.
func Run(t *testing.T, baseURL string, opts Options) {
	c := newClient(t, append([]string{baseURL}, opts.Also...)...)
	t.Run("health", c.health)
	t.Run("page", c.page)
	t.Run("create and read", c.createAndRead)
	t.Run("text survives", c.textSurvives)
	t.Run("white space around", c.whiteSpace)
	t.Run("update", c.update)
	t.Run("optimistic concurrency", c.optimistic)
	t.Run("delete", c.remove)
	t.Run("pages of a list", c.pages)
	t.Run("search", c.search)
	t.Run("invalid input", c.invalidInput)
	t.Run("invalid email", c.invalidEmail)
	t.Run("the largest body", c.largest)
	t.Run("unknown paths and methods", c.unknown)
	t.Run("X-Cache", func(t *testing.T) { c.cacheHeader(t, opts.Cached) })
	t.Run("metrics", func(t *testing.T) { c.metrics(t, opts.Cached) })
	t.Run("no read is older than a change it follows", func(t *testing.T) {
		for _, storm := range append([]Storm{{Name: "all is well"}}, opts.Storms...) {
			t.Run(storm.Name, func(t *testing.T) { c.weather(t, storm) })
		}
	})
}

// dialHere dials names below localhost on this machine, as browsers and curl
// do: not every resolver knows them.
func dialHere(ctx context.Context, network, address string) (net.Conn, error) {
	if host, port, err := net.SplitHostPort(address); err == nil && strings.HasSuffix(host, ".localhost") {
		address = net.JoinHostPort("localhost", port)
	}
	return (&net.Dialer{}).DialContext(ctx, network, address)
}

// User is what the app answers.
type User struct {
	ID        int64     `json:"id"`
	Name      string    `json:"name"`
	Email     string    `json:"email"`
	Version   int64     `json:"version"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

type client struct {
	bases    []string
	http     *http.Client
	document *document
	tag      string // in every name and email of this run
	n        int
}

func newClient(t *testing.T, urls ...string) *client {
	c := &client{document: openDocument(t), tag: strings.ToLower(rand.Text()[:12]), http: &http.Client{
		Timeout:   30 * time.Second,
		Transport: &http.Transport{MaxIdleConnsPerHost: clients, DialContext: dialHere},
	}}
	t.Cleanup(c.http.CloseIdleConnections)
	for _, url := range urls {
		c.bases = append(c.bases, strings.TrimSuffix(url, "/"))
	}
	return c
}

// answer is a response, read whole.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (a answer) String() string { return fmt.Sprintf("%d %s", a.status, a.body) }

// do sends a request. body is JSON text, or nil for none. An answer that is
// not in the document is an error.
func (c *client) do(method, path, body string, header ...string) (answer, error) {
	req, err := http.NewRequest(method, c.bases[random.IntN(len(c.bases))]+path, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return answer{}, err
	}
	a := answer{resp.StatusCode, resp.Header, text}
	return a, c.document.check(req, a)
}

// want sends a request and fails the test unless it has the status.
func (c *client) want(t testing.TB, status int, method, path, body string, header ...string) answer {
	t.Helper()
	a, err := c.do(method, path, body, header...)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	if a.status != status {
		t.Fatalf("%s %s %s = %v, want status %d", method, path, body, a, status)
	}
	return a
}

// wantUser is want for answers that are a user.
func (c *client) wantUser(t testing.TB, status int, method, path, body string, header ...string) (User, answer) {
	t.Helper()
	a := c.want(t, status, method, path, body, header...)
	user, err := a.user()
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return user, a
}

func (a answer) user() (user User, err error) {
	dec := json.NewDecoder(bytes.NewReader(a.body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&user); err != nil {
		return User{}, fmt.Errorf("%v is no user: %w", a, err)
	}
	if etag := fmt.Sprintf(`"%d"`, user.Version); a.header.Get("ETag") != etag {
		return User{}, fmt.Errorf("%v has ETag %q, want %s", a, a.header.Get("ETag"), etag)
	}
	return user, nil
}

// wantError fails the test unless the answer to a request is an error with an id.
func (c *client) wantError(t testing.TB, status int, id, method, path, body string, header ...string) {
	t.Helper()
	a, err := c.do(method, path, body, header...)
	if err != nil {
		t.Fatalf("%s %s %.200s: %v", method, path, body, err)
	}
	var e struct{ ID, Message string }
	if err := json.Unmarshal(a.body, &e); err != nil || a.status != status || e.ID != id || e.Message == "" {
		t.Errorf("%s %s %.200s = %v, want status %d, the id %s and a message", method, path, body, a, status, id)
	}
	if got := a.header.Get("Content-Type"); !strings.HasPrefix(got, "application/json") {
		t.Errorf("%s %s: an error has Content-Type %q", method, path, got)
	}
}

// input is the JSON of a user.
func input(name, email string) string {
	text, err := json.Marshal(map[string]string{"name": name, "email": email})
	if err != nil {
		panic(err) // strings always marshal
	}
	return string(text)
}

// email returns one that nobody has.
func (c *client) email() string {
	c.n++
	return fmt.Sprintf("%s-%d@example.com", c.tag, c.n)
}

// create makes a user that goes with the test.
func (c *client) create(t testing.TB, name string) User {
	t.Helper()
	user, _ := c.wantUser(t, http.StatusCreated, "POST", "/users", input(name, c.email()))
	t.Cleanup(func() {
		if _, err := c.do("DELETE", path(user), ""); err != nil {
			t.Errorf("removing user %d: %v", user.ID, err)
		}
	})
	return user
}

func path(user User) string { return fmt.Sprintf("/users/%d", user.ID) }
