package apptest

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A storm has this many clients: one in five changes a user of its own as fast
// as it can, the others read that one.
const (
	clients = 200
	readers = 4 // of each user
	stirred = clients / (1 + readers)
)

// Storm is something that happens while users are read and changed from all
// sides. A read that began after a change was acknowledged must show it, or
// what followed; and at the end nothing that was acknowledged is lost.
type Storm struct {
	Name string
	// Disturb may do anything to the cache and, if Unavailable is set, to
	// Postgres. It may be nil.
	Disturb func(t *testing.T)
	// Unavailable says that the app may answer 503 with Retry-After.
	Unavailable bool
}

// subject is a user in a storm. Its name has the number of the try that made
// it: a change that was answered 503 may have been made, or not.
type subject struct {
	id           int64
	email        string
	acknowledged atomic.Pointer[state]
}

type state struct{ version, try int64 }

func (c *client) weather(t *testing.T, storm Storm) {
	subjects := make([]*subject, stirred)
	var group sync.WaitGroup
	for i := range subjects {
		email := c.email()
		group.Go(func() { subjects[i] = c.subject(t, email) })
	}
	group.Wait()
	if t.Failed() {
		return
	}
	var refused atomic.Int64
	c.storm(t, storm, subjects, &refused)
	for _, s := range subjects {
		group.Go(func() { c.settled(t, s) })
	}
	group.Wait()
	if storm.Unavailable && refused.Load() == 0 {
		t.Error("the app was never unavailable, so that nothing is tested")
	}
}

// storm changes and reads users until the disturbance is over.
func (c *client) storm(t *testing.T, storm Storm, subjects []*subject, refused *atomic.Int64) {
	var group sync.WaitGroup
	defer group.Wait()
	stop := make(chan struct{})
	defer close(stop)
	for _, s := range subjects {
		group.Go(func() { c.keepChanging(t, storm, s, refused, stop) })
		for range readers {
			group.Go(func() { c.keepReading(t, storm, s, stop) })
		}
	}
	const look = 300 * time.Millisecond // how long to look, not what to wait for
	time.Sleep(look)
	if storm.Disturb != nil {
		storm.Disturb(t)
	}
	time.Sleep(look)
}

func (c *client) subject(t *testing.T, email string) *subject {
	a, err := c.do("POST", "/users", input("Try 0", email))
	if err != nil || a.status != http.StatusCreated {
		t.Errorf("POST /users = %v, %v", a, err)
		return nil
	}
	user, err := a.user()
	if err != nil {
		t.Error(err)
		return nil
	}
	s := &subject{id: user.ID, email: email}
	s.acknowledged.Store(&state{user.Version, 0})
	return s
}

func (s *subject) path() string { return fmt.Sprintf("/users/%d", s.id) }

// weathered reads an answer that may be a 503 during the storm.
func (s *subject) weathered(storm Storm, a answer, err error) (found state, unavailable bool, _ error) {
	if err != nil {
		return state{}, false, err
	}
	if storm.Unavailable && a.status == http.StatusServiceUnavailable {
		return state{}, true, nil
	}
	if a.status != http.StatusOK {
		return state{}, false, fmt.Errorf("the answer is %v", a)
	}
	user, err := a.user()
	if err != nil {
		return state{}, false, err
	}
	number, ok := strings.CutPrefix(user.Name, "Try ")
	try, err := strconv.ParseInt(number, 10, 64)
	if !ok || err != nil || user.ID != s.id || user.Email != s.email {
		return state{}, false, fmt.Errorf("the answer is another user: %+v", user)
	}
	return state{user.Version, try}, false, nil
}

func (c *client) keepChanging(t *testing.T, storm Storm, s *subject, refused *atomic.Int64, stop <-chan struct{}) {
	unsure := int64(0) // changes of which it is not known whether they were made
	for try := int64(1); open(stop); try++ {
		a, err := c.do("PUT", s.path(), input(fmt.Sprintf("Try %d", try), s.email))
		made, unavailable, err := s.weathered(storm, a, err)
		if unavailable {
			refused.Add(1)
			unsure++
			time.Sleep(20 * time.Millisecond) // less than was asked for, and still no flood
			continue
		}
		last := s.acknowledged.Load()
		if err != nil || made.try != try || made.version <= last.version || made.version > last.version+1+unsure {
			t.Errorf("PUT %s: try %d after %+v made %+v: %v", s.path(), try, *last, made, err)
			return
		}
		unsure = 0
		s.acknowledged.Store(&made)
	}
}

func (c *client) keepReading(t *testing.T, storm Storm, s *subject, stop <-chan struct{}) {
	for open(stop) {
		least := s.acknowledged.Load()
		a, err := c.do("GET", s.path(), "")
		found, unavailable, err := s.weathered(storm, a, err)
		if unavailable {
			time.Sleep(20 * time.Millisecond)
			continue
		}
		if err != nil || found.version < least.version || found.try < least.try {
			t.Errorf("GET %s: %+v after %+v was acknowledged (X-Cache: %s): %v", s.path(), found, *least, a.header.Get("X-Cache"), err)
			return
		}
	}
}

// settled tests that the last change which was acknowledged is there, or one
// that was not, and removes the user.
func (c *client) settled(t *testing.T, s *subject) {
	calm, least := Storm{Unavailable: true}, s.acknowledged.Load()
	patiently(t, "the app to be available", func() (bool, error) {
		a, err := c.do("GET", s.path(), "")
		found, unavailable, err := s.weathered(calm, a, err)
		if err == nil && !unavailable && (found.version < least.version || found.try < least.try) {
			err = fmt.Errorf("GET %s after the storm: %+v, and %+v was acknowledged", s.path(), found, *least)
		}
		return !unavailable, err
	})
	patiently(t, "the app to be available", func() (bool, error) {
		a, err := c.do("DELETE", s.path(), "")
		if err == nil && a.status != http.StatusNoContent && a.status != http.StatusNotFound && a.status != http.StatusServiceUnavailable {
			err = fmt.Errorf("DELETE %s = %v", s.path(), a)
		}
		return a.status != http.StatusServiceUnavailable, err
	})
}

// patiently tries until there is what is waited for, or fails the test.
func patiently(t *testing.T, what string, try func() (done bool, err error)) {
	t.Helper()
	for deadline := time.Now().Add(15 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		done, err := try()
		if err != nil {
			t.Error(err)
		}
		if done || err != nil {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("waited 15 s for %s", what)
			return
		}
	}
}

func open(stop <-chan struct{}) bool {
	select {
	case <-stop:
		return false
	default:
		return true
	}
}
