package apptest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
)

func TestGoAppKeepsTheContract(t *testing.T) {
	program := buildGo(t)
	database := "DATABASE_URL=" + startPostgres(t)

	t.Run("with one", func(t *testing.T) {
		cache := startRedis(t)
		a := startApp(t, program, database, "REDIS_URL="+cache.url)
		Run(t, a.url, Options{Cached: true})
	})
	t.Run("with a reader that cannot write", func(t *testing.T) {
		cache := startRedis(t)
		a := startApp(t, program, database, "REDIS_URL="+cache.url, "REDIS_READER_URL="+cache.readURL)
		Run(t, a.url, Options{Cached: true})
		requestsAreLogged(t, a)
	})
	t.Run("with a cache that is not there", func(t *testing.T) {
		Run(t, startApp(t, program, database, "REDIS_URL=redis://127.0.0.1:1").url, Options{})
	})
	t.Run("with a server of another make", func(t *testing.T) {
		cache := miniredis.RunT(t) // what the embedded engine is
		Run(t, startApp(t, program, database, "REDIS_URL=redis://"+cache.Addr()).url, Options{Cached: true})
	})
	t.Run("with one whose certificate nobody signed", func(t *testing.T) {
		cache, err := miniredis.RunTLS(&tls.Config{Certificates: []tls.Certificate{selfSigned(t)}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(cache.Close)
		Run(t, startApp(t, program, database, "REDIS_URL=rediss://"+cache.Addr()).url, Options{Cached: true})
	})
	t.Run("with a wrong password", func(t *testing.T) {
		cache := startRedis(t)
		Run(t, startApp(t, program, database, "REDIS_URL="+strings.Replace(cache.url, "writer@", "wrong@", 1)).url, Options{})
	})
}

func selfSigned(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// requestsAreLogged reads the log of an app as a machine would.
func requestsAreLogged(t *testing.T, a *app) {
	t.Helper()
	for _, line := range lines(a.log.String()) {
		var entry struct{ Msg, RequestID, Path, Cache string }
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Fatalf("a line of the log is not JSON: %s", line)
		}
		if strings.Contains(line, "writer") || strings.Contains(line, "reader:") {
			t.Errorf("the log shows a password: %s", line)
		}
	}
	if !strings.Contains(a.log.String(), `"cache":"hit"`) {
		t.Error("no request is logged as a hit")
	}
}

func TestGoAppIsRightWhateverTheCacheDoes(t *testing.T) {
	program := buildGo(t)
	database := "DATABASE_URL=" + startPostgres(t)
	for name, disturb := range map[string]func(*testing.T, *cacheServer){
		"killed": func(t *testing.T, c *cacheServer) { c.end(t, syscall.SIGKILL) },
		"killed and started again": func(t *testing.T, c *cacheServer) {
			c.end(t, syscall.SIGKILL)
			time.Sleep(200 * time.Millisecond) // of changes that it misses
			c.start(t)
		},
		"frozen, then back with what it held": func(t *testing.T, c *cacheServer) {
			c.signal(syscall.SIGSTOP)
			time.Sleep(500 * time.Millisecond)
			c.signal(syscall.SIGCONT)
		},
		"restarted from an old snapshot": func(t *testing.T, c *cacheServer) {
			c.must(t, "save")
			time.Sleep(100 * time.Millisecond)
			c.end(t, syscall.SIGKILL)
			c.start(t)
		},
		"emptied": func(t *testing.T, c *cacheServer) {
			for range 50 {
				c.must(t, "flushall")
			}
		},
		"filled with rubbish": func(t *testing.T, c *cacheServer) {
			for n := range 300 {
				for _, key := range c.keys(t) {
					switch n % 4 {
					case 0:
						c.must(t, "set", key, "rubbish")
					case 1:
						c.must(t, "set", key, `1 AAAA {"id":1,"name":"Mallory"}`)
					case 2:
						c.must(t, "eval", "redis.call('DEL', KEYS[1]) return redis.call('HSET', KEYS[1], 'a', 'b')", 1, key)
					case 3:
						c.must(t, "set", key, "")
					}
				}
			}
		},
		"given one user's entry for another": func(t *testing.T, c *cacheServer) {
			for range 300 {
				if keys := c.keys(t); len(keys) > 1 {
					c.must(t, "copy", keys[0], keys[1], "replace")
				}
			}
		},
		"unwilling to write": func(t *testing.T, c *cacheServer) {
			c.must(t, "config", "set", "maxmemory", "1")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cache := startRedis(t)
			a := startApp(t, program, database, "REDIS_URL="+cache.url, "REDIS_READER_URL="+cache.readURL)
			Run(t, a.url, Options{Cached: true, Disturb: func(t *testing.T) { disturb(t, cache) }})
		})
	}
}

func TestGoAppIsRightWhenTheCacheComesBackWithThePast(t *testing.T) {
	program := buildGo(t)
	cache := startRedis(t)
	a := startApp(t, program, "DATABASE_URL="+startPostgres(t), "REDIS_URL="+cache.url, "REDIS_READER_URL="+cache.readURL)
	c := &client{base: a.url, http: &http.Client{Timeout: 10 * time.Second}, tag: "past"}
	user := c.create(t, "Before")
	if !c.hits(t, user) {
		t.Fatal("the user is not cached")
	}
	cache.must(t, "save")
	for _, down := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM} {
		cache.end(t, down)
		user, _ = c.wantUser(t, http.StatusOK, "PUT", path(user), input(fmt.Sprintf("During %v", down), user.Email))
		_, answer := c.wantUser(t, http.StatusOK, "GET", path(user), "")
		if how := answer.header.Get("X-Cache"); how != "bypass" {
			t.Errorf("with no cache X-Cache is %q", how)
		}
		cache.start(t)
		if len(cache.keys(t)) == 0 {
			t.Fatal("the cache came back empty, so that nothing is tested")
		}
		if !c.hits(t, user) { // and all it answers on the way is right
			t.Error("the cache is not used again")
		}
	}
}

func TestTwoDynosOfTheGoAppShareTheTruth(t *testing.T) {
	program := buildGo(t)
	cache := startRedis(t)
	env := []string{"DATABASE_URL=" + startPostgres(t), "REDIS_URL=" + cache.url}
	var clients []*client
	for range 2 {
		clients = append(clients, &client{base: startApp(t, program, env...).url, http: &http.Client{Timeout: 10 * time.Second}, tag: "two"})
	}
	user := clients[0].create(t, "Ada")
	for n := range 40 {
		writer, reader := clients[n%2], clients[(n+1)%2]
		if n%4 == 0 && !reader.hits(t, user) {
			t.Fatal("the user is not cached")
		}
		user, _ = writer.wantUser(t, http.StatusOK, "PUT", path(user), input(fmt.Sprintf("Ada %d", n), user.Email))
		if read, _ := reader.wantUser(t, http.StatusOK, "GET", path(user), ""); read != user {
			t.Fatalf("the other dyno reads %+v after a change to %+v", read, user)
		}
	}
}

func TestGoAppFinishesRequestsWhenItIsStopped(t *testing.T) {
	a := startApp(t, buildGo(t), "DATABASE_URL="+startPostgres(t))
	c := &client{base: a.url, http: &http.Client{Timeout: 10 * time.Second}}
	c.want(t, http.StatusOK, "GET", "/health", "")
	a.end(t, syscall.SIGTERM)
	if code := a.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("it exits with %d:\n%s", code, a.log)
	}
}

func TestGoAppWithoutItsDatabaseSaysSo(t *testing.T) {
	port := freePort(t)
	a := start(t, []string{"DATABASE_URL=postgres://127.0.0.1:1/x", "PORT=" + port}, buildGo(t))
	c := &client{base: "http://127.0.0.1:" + port, http: &http.Client{Timeout: 20 * time.Second}}
	await(t, a, func(context.Context) error {
		_, err := c.do("GET", "/", "")
		return err
	})
	c.want(t, http.StatusServiceUnavailable, "GET", "/health", "")
	c.wantError(t, http.StatusServiceUnavailable, "unavailable", "GET", "/users/1", "")
}
