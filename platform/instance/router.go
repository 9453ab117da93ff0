package instance

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/uuid"

	"niwa/platform"
	"niwa/platform/logplex"
	"niwa/router"
	"niwa/router/follow"
	"niwa/router/metrics"
	"niwa/router/route"
)

// cutTime is how long requests in flight have when a router stops: as long as
// dynos have. What is left then, an open WebSocket say, is cut off (H24).
const cutTime = 30 * time.Second

// StartRouter starts a router alone, which follows the routes of the platform
// on the data directory while there is one, and the last that there were while
// there is none. It runs as the platform's user, whose certificate authority
// it reads; nothing else of the data directory is its own but its record. With
// Follow it follows the platform there, and the data directory is its own. Of the
// configuration, Data, Follow, FollowToken, Router, RouterTLS, Metrics, Strictness,
// Domain, Version and Log count.
func StartRouter(ctx context.Context, cfg Config) (*Instance, error) {
	return start(ctx, cfg, (*Instance).startRouter)
}

func (i *Instance) startRouter(ctx context.Context) error {
	if _, err := os.Stat(filepath.Join(i.cfg.Data, "ca", "ca.pem")); errors.Is(err, fs.ErrNotExist) && i.cfg.Follow == "" {
		return fmt.Errorf("no niwa has run on %s yet; start one with \"niwa up\", name another directory with --data, or a platform elsewhere with --follow", i.cfg.Data)
	}
	var s sockets
	if err := errors.Join(i.listenForApps(&s), i.listenForMetrics()); err != nil {
		return err
	}
	self := follow.Router{
		ID: uuid.NewString(), PID: os.Getpid(), URL: "http://" + s.httpAddr, TLS: "https://" + s.httpsAddr, Metrics: i.metricsURL(),
		Version: i.cfg.Version, StartedAt: time.Now().UTC(),
	}
	to := i.leadFar
	if i.cfg.Follow == "" {
		record, err := follow.Register(follow.Dir(i.cfg.Data), self)
		if err != nil {
			return err
		}
		i.onStop(func(context.Context) error { return record.Close() })
		to = i.leadHere
	}
	l, err := to()
	if err != nil {
		return err
	}
	follower := follow.NewFollower(follow.FollowerConfig{
		Dial: l.dial, Router: self, Routes: l.routes, Log: i.cfg.Log,
		Drain: func(ctx context.Context, addrs []string) error { return i.router.Drain(ctx, addrs) },
	})
	tls := l.ca.ServerConfig(i.ours)
	if l.certs != nil {
		tls = l.certs.ServerConfig(tls)
	}
	i.router = router.New(router.Config{Routes: l.routes, TLS: tls, Log: follower.LogLine, Strictness: router.Strictness(i.cfg.Strictness), Crowded: crowded(i.cfg.Log)})
	i.wireMetrics()
	i.onStop(running(follower.Run))
	i.onStop(i.stopRouter)
	select {
	case <-follower.Ready():
	case <-ctx.Done():
		return ctx.Err()
	}
	i.serve(i.routerServers(&s))
	return nil
}

// running runs f, and returns what ends it.
func running(f func(context.Context)) func(context.Context) error {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { f(ctx); close(ended) }()
	return func(context.Context) error {
		cancel()
		<-ended
		return nil
	}
}

// stopRouter lets the requests in flight end.
func (i *Instance) stopRouter(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, cutTime)
	defer cancel()
	err := i.router.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		return nil // each has its line in the log
	}
	return err
}

func (i *Instance) routerServers(s *sockets) map[string]func() error {
	return map[string]func() error{
		"router":     func() error { return i.router.Serve(s.router) },
		"TLS router": func() error { return i.router.ServeTLS(s.routerTLS) },
		"metrics":    i.serveMetrics,
	}
}

// wireRouters makes the platform's own router, unless others do its work
// alone, and the publisher that those follow.
func (i *Instance) wireRouters(p parts) {
	i.elsewhere = metrics.New(time.Now())
	i.publisher = follow.NewPublisher(follow.Config{
		Dir: follow.Dir(i.cfg.Data), Routes: p.routes, Log: i.cfg.Log,
		Lines: func(lines []follow.Line) {
			keepLines(p.logs, p.routes, lines)
			countLines(i.elsewhere, p.routes, lines)
		},
	})
	if !i.cfg.NoRouter {
		i.router = router.New(router.Config{
			Routes: p.routes, TLS: p.certs.ServerConfig(p.ca.ServerConfig(i.ours)), Strictness: router.Strictness(i.cfg.Strictness), Crowded: crowded(i.cfg.Log),
			Log: func(appID string, line []byte) { p.logs.Log(appID, "heroku", "router", string(line)) },
		})
		i.wireMetrics()
	}
}

// keepLines logs what a router that runs alone has to say of the apps there
// are. What it had no room for is said as Heroku says it of a drain
// (https://devcenter.heroku.com/articles/error-codes#l10-drain-buffer-overflow).
func keepLines(logs *logplex.Logplex, apps *route.Table, lines []follow.Line) {
	for _, l := range lines {
		if _, ok := apps.App(l.App); !ok {
			continue // it was destroyed meanwhile, and its log with it
		}
		if l.Dropped > 0 {
			logs.Log(l.App, "heroku", "logplex", fmt.Sprintf("Error L10 (output buffer overflow): %d messages dropped since %s.",
				l.Dropped, l.At.UTC().Format("2006-01-02T15:04:05-07:00")))
			continue
		}
		logs.LogAt(l.At, l.App, "heroku", "router", l.Text)
	}
}

// drain waits until no router has a request at any of these dynos.
func (i *Instance) drain(ctx context.Context, addrs []string) error {
	if i.router != nil {
		if err := i.router.Drain(ctx, addrs); err != nil {
			return err
		}
	}
	return i.publisher.Drain(ctx, addrs)
}

// loads is what the platform's own router, if there is one, knows of the dynos
// of an app.
func (i *Instance) loads() func(appID string) []platform.RoutedDyno {
	if i.cfg.NoRouter {
		return nil
	}
	return func(appID string) (all []platform.RoutedDyno) {
		for _, l := range i.router.Loads(appID) {
			all = append(all, platform.RoutedDyno{Name: l.Dyno, Weight: l.Weight, InFlight: &l.InFlight, Quarantined: l.Quarantined})
		}
		return all
	}
}

// ours says for which names routers have a certificate.
func (i *Instance) ours(name string) bool {
	return name == i.cfg.Domain || strings.HasSuffix(name, "."+i.cfg.Domain)
}

// Routers lists the routers that run alone on a data directory.
func Routers(data string) ([]follow.Router, error) { return follow.Routers(follow.Dir(data)) }
