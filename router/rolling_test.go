package router

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"niwa/platform/platformtest/load"
	"niwa/router/route"
)

// hasty is a dyno that closes its idle connections after at most 2 ms, and so
// often while the next request is on its way.
func hasty(t *testing.T) (route.Dyno, *httptest.Server) {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(load.Echo))
	s.Config.IdleTimeout = time.Duration(1+rand.IntN(2000)) * time.Microsecond
	s.Start()
	t.Cleanup(s.Close)
	return route.Dyno{Addr: s.Listener.Addr().String()}, s
}

func TestNoRequestIsLostWhileEveryDynoIsReplacedAgainAndAgain(t *testing.T) {
	t.Parallel()
	var dynos []route.Dyno
	var servers []*httptest.Server
	for range 3 {
		d, s := hasty(t)
		dynos, servers = append(dynos, d), append(servers, s)
	}
	h := start(t, serving(dynos...), Timeouts{})
	l := load.Start(load.Config{Addr: h.addr, Host: "app.test", Clients: 20, Requests: 20_000}, "rolling")
	replaced := 0
	for ; l.Ended() < 20_000; replaced++ {
		i := replaced % len(dynos)
		old, oldServer := dynos[i], servers[i]
		dynos[i], servers[i] = hasty(t)
		h.swap(t, serving(dynos...))
		stop(t, h, old, oldServer)
	}
	r := l.Wait()
	t.Logf("%d dynos replaced\n%v", replaced, r)
	if r.Failures > 0 || r.Requests != 20_000 || replaced < 10 {
		t.Errorf("%d dynos replaced\n%v", replaced, r)
	}
}

func TestNoRequestIsLostWhileTheOnlyDynoIsReplacedAgainAndAgain(t *testing.T) {
	t.Parallel()
	dyno, server := hasty(t)
	h := start(t, serving(dyno), Timeouts{})
	l := load.Start(load.Config{Addr: h.addr, Host: "app.test", Clients: 20, Requests: 5_000}, "replacing")
	for l.Ended() < 5_000 {
		h.swap(t, route.App{State: route.Starting})
		stop(t, h, dyno, server)
		dyno, server = hasty(t)
		h.swap(t, serving(dyno))
		before := l.Ended()
		waitFor(t, "requests go on", func() bool { return l.Ended() > before || l.Ended() == 5_000 })
	}
	if r := l.Wait(); r.Failures > 0 || r.Requests != 5_000 {
		t.Errorf("\n%v", r)
	}
}

// stop stops a dyno that has left the table, as abruptly as can be.
func stop(t *testing.T, h *harness, d route.Dyno, s *httptest.Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := h.Drain(ctx, []string{d.Addr}); err != nil {
		t.Error(fmt.Errorf("draining: %w", err))
	}
	s.Listener.Close()
	s.CloseClientConnections()
}
