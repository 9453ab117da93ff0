//go:build !linux

package router

import (
	"testing"

	"niwa/platform/platformtest/need"
	"niwa/router/route"
)

func unreachable(t *testing.T) route.Dyno {
	t.Helper()
	need.Reason(t, "needs Linux: elsewhere a full listener refuses instead of hanging")
	return route.Dyno{}
}
