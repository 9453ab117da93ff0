package apptest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func (c *client) health(t *testing.T) {
	a := c.want(t, http.StatusOK, "GET", "/health", "")
	var health struct{ Status string }
	if err := json.Unmarshal(a.body, &health); err != nil || health.Status != "ok" {
		t.Errorf("GET /health = %v, want the status ok", a)
	}
}

// page tests that the page works without the Internet.
func (c *client) page(t *testing.T) {
	a := c.want(t, http.StatusOK, "GET", "/", "")
	if got := a.header.Get("Content-Type"); !strings.HasPrefix(got, "text/html") {
		t.Errorf("the page has Content-Type %q", got)
	}
	if at := regexp.MustCompile(`(?i)(src|href)=["']?(https?:)?//`).Find(a.body); at != nil {
		t.Errorf("the page loads something from elsewhere: %s", at)
	}
}

func (c *client) createAndRead(t *testing.T) {
	before := time.Now().Add(-time.Minute)
	email := c.email()
	user, a := c.wantUser(t, http.StatusCreated, "POST", "/users", input("  Ada ", email))
	t.Cleanup(func() { c.want(t, http.StatusNoContent, "DELETE", path(user), "") })
	if user.ID < 1 || user.Version != 1 || user.Name != "Ada" || user.Email != email || user.CreatedAt.Before(before) || !user.UpdatedAt.Equal(user.CreatedAt) {
		t.Errorf("created %+v", user)
	}
	if got := a.header.Get("Location"); !strings.HasSuffix(got, path(user)) {
		t.Errorf("Location is %q, want %s", got, path(user))
	}
	for range 2 { // from wherever it comes
		if read, _ := c.wantUser(t, http.StatusOK, "GET", path(user), ""); read != user {
			t.Errorf("read %+v, created %+v", read, user)
		}
	}
	c.want(t, http.StatusNotModified, "GET", path(user), "", "If-None-Match", `"1"`)
	c.wantError(t, http.StatusConflict, "conflict", "POST", "/users", input("Eve", strings.ToUpper(email)))
}

func (c *client) textSurvives(t *testing.T) {
	for _, name := range []string{`<b>"Ada" & 'Eve'</b>`, "庭 🌱 é", `back\slash %d {{x}} $1 --;`, strings.Repeat("ü", 100), strings.Repeat("🌱", 100)} {
		user := c.create(t, name)
		for range 2 {
			if read, _ := c.wantUser(t, http.StatusOK, "GET", path(user), ""); read.Name != name {
				t.Errorf("%q came back as %q", name, read.Name)
			}
		}
	}
}

func (c *client) update(t *testing.T) {
	user := c.create(t, "Ada")
	for i := range 20 {
		name := fmt.Sprintf("Ada %d", i)
		changed, _ := c.wantUser(t, http.StatusOK, "PUT", path(user), input(name, user.Email))
		if changed.Name != name || changed.Version != user.Version+1 || changed.ID != user.ID || !changed.CreatedAt.Equal(user.CreatedAt) {
			t.Fatalf("changed %+v to %+v", user, changed)
		}
		user = changed
		for range 2 {
			if read, _ := c.wantUser(t, http.StatusOK, "GET", path(user), ""); read != user {
				t.Fatalf("read %+v after a change to %+v", read, user)
			}
		}
	}
	other := c.create(t, "Eve")
	c.wantError(t, http.StatusConflict, "conflict", "PUT", path(user), input("Ada", other.Email))
	c.wantError(t, http.StatusNotFound, "not_found", "PUT", "/users/9007199254740991", input("Ada", c.email()))
}

// optimistic tests that of changes to one version exactly one is made.
func (c *client) optimistic(t *testing.T) {
	user := c.create(t, "Ada")
	const rivals = 8
	var won, lost atomic.Int32
	var group sync.WaitGroup
	for i := range rivals {
		group.Go(func() {
			a, err := c.do("PUT", path(user), input(fmt.Sprintf("Rival %d", i), user.Email), "If-Match", `"1"`)
			switch {
			case err != nil:
				t.Errorf("PUT: %v", err)
			case a.status == http.StatusOK:
				won.Add(1)
			case a.status == http.StatusPreconditionFailed:
				lost.Add(1)
			default:
				t.Errorf("PUT = %v", a)
			}
		})
	}
	group.Wait()
	if won.Load() != 1 || lost.Load() != rivals-1 {
		t.Errorf("of %d changes to one version %d were made and %d refused", rivals, won.Load(), lost.Load())
	}
	c.wantError(t, http.StatusPreconditionFailed, "precondition_failed", "DELETE", path(user), "", "If-Match", `"1"`)
	c.wantError(t, http.StatusPreconditionFailed, "precondition_failed", "PUT", path(user), input("Ada", user.Email), "If-Match", `"what"`)
	c.wantUser(t, http.StatusOK, "PUT", path(user), input("Ada", user.Email), "If-Match", `"2"`)
	c.wantUser(t, http.StatusOK, "PUT", path(user), input("Ada", user.Email), "If-Match", "*")
}

func (c *client) remove(t *testing.T) {
	user := c.create(t, "Ada")
	for range 2 {
		c.want(t, http.StatusOK, "GET", path(user), "")
	}
	c.want(t, http.StatusNoContent, "DELETE", path(user), "")
	for range 2 {
		c.wantError(t, http.StatusNotFound, "not_found", "GET", path(user), "")
	}
	c.wantError(t, http.StatusNotFound, "not_found", "DELETE", path(user), "")
}

// list reads one page and where the next is.
func (c *client) list(t *testing.T, at string) (users []User, next string) {
	t.Helper()
	a := c.want(t, http.StatusOK, "GET", at, "")
	if err := json.Unmarshal(a.body, &users); err != nil || users == nil {
		t.Fatalf("GET %s = %v, want a list of users (%v)", at, a, err)
	}
	if m := regexp.MustCompile(`^<([^>]+)>; rel="next"$`).FindStringSubmatch(a.header.Get("Link")); m != nil {
		next = m[1]
	}
	return users, next
}

func (c *client) pages(t *testing.T) {
	var want []int64
	for i := range 5 {
		want = append(want, c.create(t, fmt.Sprintf("Page %d of %s", i, c.tag)).ID)
	}
	var got []int64
	next := "/users?limit=2&q=" + url.QueryEscape("of "+c.tag)
	for pages := 0; next != ""; pages++ {
		if pages == 3 {
			t.Fatal("5 users are on more than 3 pages of 2")
		}
		var users []User
		users, next = c.list(t, next)
		for _, user := range users {
			got = append(got, user.ID)
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the pages have %v, want %v", got, want)
	}
	if users, _ := c.list(t, "/users"); len(users) > 20 {
		t.Errorf("a list has %d users without being asked for more than 20", len(users))
	}
	for _, query := range []string{"limit=0", "limit=-1", "limit=101", "limit=many", "limit=99999999999999999999", "after=x", "after=-1", "q=%00", "q=" + strings.Repeat("q", 101)} {
		c.wantError(t, http.StatusUnprocessableEntity, "invalid_params", "GET", "/users?"+query, "")
	}
}

// search tests that it finds by name and email, in any case, and takes what
// is a pattern to the database literally.
func (c *client) search(t *testing.T) {
	percent := c.create(t, "100% "+c.tag)
	plain := c.create(t, "1000 "+c.tag)
	for query, want := range map[string]User{
		"100% " + c.tag:             percent,
		"1000 " + c.tag[:8]:         plain,
		strings.ToUpper(c.tag) + "": {},
		plain.Email:                 plain,
		"1_00 " + c.tag:             {},
		`1\000 ` + c.tag:            {},
	} {
		users, _ := c.list(t, "/users?limit=100&q="+url.QueryEscape(query))
		switch {
		case query == strings.ToUpper(c.tag):
			if len(users) < 2 {
				t.Errorf("a search for %q finds %d users, want both", query, len(users))
			}
		case want.ID == 0:
			if len(users) != 0 {
				t.Errorf("a search for %q finds %+v", query, users)
			}
		case len(users) != 1 || users[0] != want:
			t.Errorf("a search for %q finds %+v, want %+v", query, users, want)
		}
	}
}

func (c *client) unknown(t *testing.T) {
	for _, path := range []string{"/users/0", "/users/-1", "/users/x", "/users/99999999999999999999", "/users/9007199254740991", "/nothing"} {
		c.wantError(t, http.StatusNotFound, "not_found", "GET", path, "")
	}
	for _, call := range []string{"PATCH /users", "DELETE /users", "PATCH /users/1", "POST /users/1"} {
		method, path, _ := strings.Cut(call, " ")
		c.wantError(t, http.StatusMethodNotAllowed, "method_not_allowed", method, path, "{}")
	}
}
