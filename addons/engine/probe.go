package engine

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"time"

	"github.com/containerd/errdefs"

	"niwa/platform/docker"
)

// Report says what one service would run on, for niwa doctor.
type Report struct {
	Service string // heroku-postgresql
	Engine  Mode   // empty when the service cannot run
	Detail  string // "PostgreSQL 15.20 in /usr/lib/postgresql/15/bin"
	Missing string // what would make it better or possible; empty when nothing is
	Fix     string // how to get that
}

// Probe reports, without starting anything, what each service would run on.
func Probe(ctx context.Context, postgres, redis Choice) []Report {
	return []Report{
		probe(ctx, postgres, service{
			name: "heroku-postgresql", server: fmt.Sprintf("PostgreSQL %d or newer", OldestPostgres), fix: FixPostgres, url: PostgresURL,
			native: func() string {
				if found := FindPostgres(); len(found) > 0 {
					return fmt.Sprintf("PostgreSQL %s in %s", found[0].Version, found[0].Bin)
				}
				return ""
			},
			embedded: "PostgreSQL binaries, downloaded when the first database is made",
		}),
		probe(ctx, redis, service{
			name: "heroku-redis", server: "redis-server " + OldestRedis + " or newer", fix: FixRedis, url: RedisURL,
			native: func() string {
				if found, ok := FindRedis(); ok {
					return fmt.Sprintf("redis-server %s in %s", found.Version, found.Path)
				}
				return ""
			},
			embedded: "a Redis inside niwa: data are lost when niwa stops, and memory is not limited",
		}),
	}
}

// service is what probe has to know of one.
type service struct {
	name, server, fix string
	url               func(string) (*url.URL, error)
	native            func() string // what there is; empty for nothing
	embedded          string
}

func probe(ctx context.Context, c Choice, s service) Report {
	if c.Elsewhere() {
		return probeElsewhere(ctx, c, s)
	}
	r := Report{Service: s.name}
	for _, mode := range c.Here("") {
		switch mode {
		case Native:
			if r.Detail = s.native(); r.Detail == "" {
				r.Missing, r.Fix = s.server, s.fix
			}
		case Docker:
			var err error
			if r.Detail, err = probeImage(ctx, c.Image); err != nil && c.Mode == Docker {
				r.Missing, r.Fix = "a Docker engine that has or gets the image "+c.Image, err.Error()
			}
		case Embedded:
			r.Detail = s.embedded
		}
		if r.Detail != "" {
			r.Engine = mode
			return r
		}
	}
	if r.Missing == "" { // --engines external, and no URL
		r.Missing, r.Fix = "the URL of a server elsewhere", "name it with --postgres-url or --redis-url"
	}
	return r
}

// probeTime is how long whatever is asked may take to answer.
const probeTime = 5 * time.Second

func probeElsewhere(ctx context.Context, c Choice, s service) Report {
	u, err := s.url(c.URL)
	if err != nil {
		return Report{Service: s.name, Missing: "the URL of a server elsewhere", Fix: err.Error()}
	}
	r := Report{Service: s.name, Engine: External, Detail: "the server at " + u.Host}
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", u.Host)
	if err != nil {
		r.Missing, r.Fix = "an answer from it", err.Error()
		return r
	}
	_ = conn.Close() // it was only a knock
	return r
}

func probeImage(ctx context.Context, name string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	engine, err := docker.Connect(ctx, "")
	if err != nil {
		return "", err
	}
	defer engine.Close()
	_, err = engine.ImageInspect(ctx, name)
	if err == nil {
		return "containers of the image " + name, nil
	}
	if !errdefs.IsNotFound(err) {
		return "", err
	}
	if _, err := engine.DistributionInspect(ctx, name, ""); err != nil {
		return "", fmt.Errorf("the engine does not have it, and its registry does not give it: %w", err)
	}
	return "containers of the image " + name + ", pulled when the first one is made", nil
}
