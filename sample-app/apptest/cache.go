package apptest

import (
	"fmt"
	"net/http"
	"testing"
	"time"
)

// cacheHeader tests that X-Cache says where a user came from: after a change
// never from the cache, and then soon from there if it works.
func (c *client) cacheHeader(t *testing.T, cached bool) {
	user := c.create(t, "Ada")
	for round := range 3 {
		_, a := c.wantUser(t, http.StatusOK, "GET", path(user), "")
		switch how := a.header.Get("X-Cache"); how {
		case "miss", "bypass":
		default:
			t.Errorf("the first read of version %d has X-Cache %q", user.Version, how)
		}
		if cached && !c.hits(t, user) {
			t.Fatalf("no read of version %d has X-Cache hit", user.Version)
		}
		user, _ = c.wantUser(t, http.StatusOK, "PUT", path(user), input(fmt.Sprintf("Ada %d", round), user.Email))
	}
}

// hits reads until the cache answers.
func (c *client) hits(t *testing.T, user User) bool {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		read, a := c.wantUser(t, http.StatusOK, "GET", path(user), "")
		if read != user {
			t.Errorf("read %+v, want %+v (X-Cache: %s)", read, user, a.header.Get("X-Cache"))
		}
		if a.header.Get("X-Cache") == "hit" {
			return true
		}
	}
	return false
}
