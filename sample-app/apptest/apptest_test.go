package apptest

import (
	"flag"
	"os"
	"testing"
)

var (
	target = flag.String("url", os.Getenv("NIWA_APP_URL"), "the app to test (NIWA_APP_URL); the Go sample without a cache if empty")
	cached = flag.Bool("cached", os.Getenv("NIWA_APP_URL_CACHED") != "", "it has a cache that works (NIWA_APP_URL_CACHED)")
)

func TestAppAtURL(t *testing.T) {
	url := *target
	if url == "" {
		url = startApp(t, buildGo(t), "DATABASE_URL="+startPostgres(t)).url
	}
	Run(t, url, Options{Cached: *cached})
}
