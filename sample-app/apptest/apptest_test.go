package apptest

import (
	"crypto/tls"
	"flag"
	"os"
	"testing"

	"github.com/alicebob/miniredis/v2"
)

var (
	target = flag.String("url", os.Getenv("NIWA_APP_URL"), "the app to test (NIWA_APP_URL); the Go sample with less than all if empty")
	cached = flag.Bool("cached", os.Getenv("NIWA_APP_URL_CACHED") != "", "it has a cache that works (NIWA_APP_URL_CACHED)")
)

func TestAppAtURL(t *testing.T) {
	if *target != "" {
		Run(t, *target, Options{Cached: *cached})
		return
	}
	p, server := named(t, "go").built(t), startPostgres(t)
	up := func(t *testing.T, database string, vars ...string) *dyno {
		vars = append(vars, "DATABASE_URL="+server.url(server.new(t, database).name))
		p.run(t, p.types["release"], vars...)
		return p.web(t, vars...).up(t)
	}
	t.Run("without a cache", func(t *testing.T) { Run(t, up(t, "without").url, Options{}) })
	t.Run("with a cache that does not tell its life", func(t *testing.T) { // the embedded engine's
		cache, err := miniredis.RunTLS(&tls.Config{Certificates: []tls.Certificate{certify(t, nil).tls(t)}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(cache.Close)
		Run(t, up(t, "other", "REDIS_URL=rediss://"+cache.Addr()).url, Options{Cached: true})
	})
}
