package apptest

import (
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
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

// consistency changes users while they are read from all sides. A read that
// began after a change was acknowledged must show it, or what followed.
func (c *client) consistency(t *testing.T, disturb func(*testing.T)) {
	const users, readers = 3, 4
	lasts := 1500 * time.Millisecond
	stop := make(chan struct{})
	var group sync.WaitGroup
	defer group.Wait()
	defer close(stop)
	for range users {
		user := c.create(t, "Ada")
		var acknowledged atomic.Int64 // the version
		acknowledged.Store(user.Version)
		group.Go(func() { c.keepChanging(t, user, &acknowledged, stop) })
		for range readers {
			group.Go(func() { c.keepReading(t, user, &acknowledged, stop) })
		}
	}
	time.Sleep(lasts / 2) // how long to look, not what to wait for
	if disturb != nil {
		disturb(t)
	}
	time.Sleep(lasts / 2)
}

func (c *client) keepChanging(t *testing.T, user User, acknowledged *atomic.Int64, stop <-chan struct{}) {
	for n := 1; ; n++ {
		select {
		case <-stop:
			return
		default:
		}
		a, err := c.do("PUT", path(user), input(fmt.Sprintf("Ada %d", n), user.Email))
		if err != nil || a.status != http.StatusOK {
			t.Errorf("PUT %s = %v, %v", path(user), a, err)
			return
		}
		changed, err := a.user()
		if err != nil || changed.Version != acknowledged.Load()+1 {
			t.Errorf("change %d made version %d: %v", n, changed.Version, err)
			return
		}
		acknowledged.Store(changed.Version)
	}
}

func (c *client) keepReading(t *testing.T, user User, acknowledged *atomic.Int64, stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		default:
		}
		least := acknowledged.Load()
		a, err := c.do("GET", path(user), "")
		if err != nil || a.status != http.StatusOK {
			t.Errorf("GET %s = %v, %v", path(user), a, err)
			return
		}
		read, err := a.user()
		if err != nil || read.Version < least {
			t.Errorf("read version %d after version %d was acknowledged (X-Cache: %s) %v", read.Version, least, a.header.Get("X-Cache"), err)
			return
		}
		if want := fmt.Sprintf("Ada %d", read.Version-1); read.Version > 1 && read.Name != want {
			t.Errorf("version %d is called %q, want %q", read.Version, read.Name, want)
			return
		}
	}
}
