package apptest

import (
	"crypto/tls"
	"flag"
	"os"
	"testing"

	"github.com/alicebob/miniredis/v2"
)

var (
	target = flag.String("url", os.Getenv("NIWA_APP_URL"), "the app to test (NIWA_APP_URL); the Go sample without a cache if empty")
	cached = flag.Bool("cached", os.Getenv("NIWA_APP_URL_CACHED") != "", "it has a cache that works (NIWA_APP_URL_CACHED)")
)

func TestAppAtURL(t *testing.T) {
	url := *target
	if url == "" {
		url = startGo(t).url
	}
	Run(t, url, Options{Cached: *cached})
}

// The server of the embedded engine does not tell its life.
func TestAppWithACacheOfAnotherMake(t *testing.T) {
	cache, err := miniredis.RunTLS(&tls.Config{Certificates: []tls.Certificate{certify(t, nil).tls(t)}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cache.Close)
	Run(t, startGo(t, "REDIS_URL=rediss://"+cache.Addr()).url, Options{Cached: true})
}

// startGo runs the Go app on a database of its own.
func startGo(t *testing.T, vars ...string) *dyno {
	p := languages()[0].built(t)
	vars = append(vars, "DATABASE_URL="+startPostgres(t).new(t, "users").url)
	p.run(t, p.types["release"], vars...)
	return p.web(t, vars...).up(t)
}
