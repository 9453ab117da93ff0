package apptest

import (
	"flag"
	"os"
	"testing"

	"niwa/platform/platformtest/need"
)

var (
	target = flag.String("url", os.Getenv("NIWA_APP_URL"), "the app to test (NIWA_APP_URL)")
	cached = flag.Bool("cached", os.Getenv("NIWA_APP_URL_CACHED") != "", "it has a cache that works (NIWA_APP_URL_CACHED)")
)

func TestAppAtURL(t *testing.T) {
	if *target == "" {
		need.Reason(t, "needs the URL of an app: go test ./sample-app/apptest -url http://users.localhost:8080")
	}
	Run(t, *target, Options{Cached: *cached})
}
