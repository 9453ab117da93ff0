package apptest

import (
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
)

// lateFill holds back what a reader puts into the cache until the user has
// been changed, and the cache has forgotten that, too.
func (s *site) lateFill(t *testing.T) {
	first, second := s.at(s.first), s.at(s.second)
	user := first.create(t, "Ada")
	if !first.hits(t, user) { // and the script is known
		t.Fatal("the user is not cached")
	}
	user, _ = first.wantUser(t, http.StatusOK, "PUT", path(user), input("Before", user.Email))
	late := s.proxy.hold()
	patiently(t, "a script that fills the cache", func() (bool, error) { // one that was too slow to look into is not filled
		_, err := first.do("GET", path(user), "")
		select {
		case <-late.came:
			return true, err
		default:
			return false, err
		}
	})
	if t.Failed() {
		return
	}
	user, _ = second.wantUser(t, http.StatusOK, "PUT", path(user), input("After", user.Email))
	s.cache.must(t, "flushdb")
	close(late.release)
	<-late.done
	for _, c := range []*client{first, second} {
		if read, a := c.wantUser(t, http.StatusOK, "GET", path(user), ""); read != user {
			t.Errorf("read %+v (X-Cache: %s) after a change to %+v", read, a.header.Get("X-Cache"), user)
		}
	}
}

// cutOff changes a user where the cache cannot be told, and reads it where the
// cache still holds what was before.
func (s *site) cutOff(t *testing.T) {
	first, second := s.at(s.first), s.at(s.second)
	user := second.create(t, "Ada")
	for round := range 3 {
		if !second.hits(t, user) {
			t.Fatal("the user is not cached")
		}
		s.proxy.cut(true)
		user, _ = first.wantUser(t, http.StatusOK, "PUT", path(user), input(fmt.Sprintf("Ada %d", round), user.Email))
		if read, a := second.wantUser(t, http.StatusOK, "GET", path(user), ""); read != user {
			t.Errorf("read %+v (X-Cache: %s) after a change to %+v", read, a.header.Get("X-Cache"), user)
		}
		s.proxy.cut(false)
	}
}

// past has the cache come back with what was true before a change: one that it
// was told of, and one that it was not.
func (s *site) past(t *testing.T) {
	user := s.create(t, "Before")
	for name, change := range map[string]func(*testing.T, User) User{"told": s.changeThenCrash, "untold": s.crashThenChange} {
		t.Run(name, func(t *testing.T) {
			if !s.hits(t, user) {
				t.Fatal("the user is not cached")
			}
			s.cache.must(t, "save")
			user = change(t, user)
			s.cache.start(t)
			if len(s.cache.keys(t)) == 0 {
				t.Fatal("the cache came back empty, so that nothing is tested")
			}
			if !s.hits(t, user) { // and all it answers on the way is right
				t.Error("the cache is not used again")
			}
		})
	}
}

func (s *site) changeThenCrash(t *testing.T, user User) User {
	user, _ = s.wantUser(t, http.StatusOK, "PUT", path(user), input("Told", user.Email))
	s.cache.end(t, syscall.SIGKILL)
	return user
}

func (s *site) crashThenChange(t *testing.T, user User) User {
	s.cache.end(t, syscall.SIGKILL)
	began := time.Now()
	user, _ = s.wantUser(t, http.StatusOK, "PUT", path(user), input("Untold", user.Email))
	if took := time.Since(began); took < 500*time.Millisecond {
		t.Errorf("a change that the cache was not told of was acknowledged after %v, while others may trust the old epoch", took)
	}
	if read, a := s.wantUser(t, http.StatusOK, "GET", path(user), ""); read != user || a.header.Get("X-Cache") != "bypass" {
		t.Errorf("read %+v with X-Cache %q; want %+v and bypass", read, a.header.Get("X-Cache"), user)
	}
	return user
}

func (s *site) cacheStorms() []Storm {
	const while = 150 * time.Millisecond // of changes
	return []Storm{
		{Name: "Kafka stops, Redis is killed, and they restart with the past", Disturb: func(t *testing.T) {
			s.broker.stop()
			defer s.broker.start(t)
			s.cache.must(t, "save")
			time.Sleep(while)
			s.cache.end(t, syscall.SIGKILL)
			s.cache.start(t)
			time.Sleep(while)
			s.cache.end(t, syscall.SIGKILL)
			time.Sleep(2 * while)
			s.cache.start(t)
		}},
		{Name: "Redis is frozen, cut off, emptied, and filled with rubbish", Disturb: func(t *testing.T) {
			s.cache.signal(syscall.SIGSTOP)
			time.Sleep(2 * while)
			s.cache.signal(syscall.SIGCONT)
			time.Sleep(while)
			s.proxy.cut(true)
			time.Sleep(while)
			s.proxy.cut(false)
			time.Sleep(while)
			s.cache.must(t, "flushall")
			s.rubbish(t)
			s.cache.must(t, "flushall")
		}},
	}
}

// rubbish puts things into the cache that are no entries of that user.
func (s *site) rubbish(t *testing.T) {
	for n := range 50 {
		for _, key := range s.cache.keys(t) {
			switch n % 5 {
			case 0:
				s.cache.must(t, "set", key, "rubbish")
			case 1:
				s.cache.must(t, "set", key, `{"epoch":"","life":"","user":{"id":1,"name":"Mallory"}}`)
			case 2:
				s.cache.must(t, "eval", "redis.call('DEL', KEYS[1]) return redis.call('HSET', KEYS[1], 'a', 'b')", 1, key)
			case 3:
				s.cache.must(t, "set", key, "null")
			case 4:
				s.cache.must(t, "eval", "redis.call('DEL', KEYS[1], KEYS[2]) return redis.call('SET', KEYS[1], 'x')", 2, key, "lease:"+strings.TrimPrefix(key, "user:"))
			}
		}
		if keys := s.cache.keys(t); len(keys) > 1 {
			_ = s.cache.admin.Copy(t.Context(), keys[0], keys[1], 0, true).Err() // one user's entry for another; it may be gone by now
		}
	}
}
