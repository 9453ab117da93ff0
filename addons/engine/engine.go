// Package engine is what the data services stand on: it decides what a
// service runs on, as which user and on which port, and keeps a server running
// until it is told to stop.
//
// A service is external when its server is elsewhere and an administrator's
// URL of it was given; docker when the server runs in a container of a public
// image; native when this machine has the server's own binaries; embedded when
// niwa fetches or carries them.
package engine

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
)

// Mode is the engine that was asked for.
type Mode string

// The engines a service can run on. Auto takes the best there is.
const (
	Auto     Mode = "auto"
	External Mode = "external"
	Docker   Mode = "docker"
	Native   Mode = "native"
	Embedded Mode = "embedded"
)

// ParseMode reads the value of --engines.
func ParseMode(s string) (Mode, error) {
	modes := []Mode{Auto, External, Docker, Native, Embedded}
	if !slices.Contains(modes, Mode(s)) {
		return "", fmt.Errorf("unknown engine %q; use one of %v", s, modes)
	}
	return Mode(s), nil
}

// Allows says whether a service may run on the engine e.
func (m Mode) Allows(e Mode) bool { return m == Auto || m == e }

// Choice is what was asked for a service.
type Choice struct {
	Mode  Mode
	URL   string // of a server elsewhere, with an administrator's credentials; empty for none
	Image string // that containers are made of
}

// Elsewhere says whether new add-ons go to the server of the URL.
func (c Choice) Elsewhere() bool { return c.URL != "" && c.Mode.Allows(External) }

// Here lists the engines that may run a server on this machine, the best
// first. Data stay with the engine that wrote them last, while it is there: a
// server may not read what a newer one wrote. Otherwise the server that is
// installed comes before a container: it is there already, offline too, where
// an image may be a minute's download or in no registry that answers.
func (c Choice) Here(last Mode) []Mode {
	modes := []Mode{Native, Docker, Embedded}
	if slices.Contains(modes, last) {
		modes = slices.Insert(modes, 0, last)
	}
	var allowed []Mode
	for _, m := range modes {
		if c.Mode.Allows(m) && !slices.Contains(allowed, m) {
			allowed = append(allowed, m)
		}
	}
	return allowed
}

// parseURL reads the URL of a server elsewhere. No error of it holds the URL,
// which is secret.
func parseURL(text, defaultPort string, schemes ...string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || !slices.Contains(schemes, u.Scheme) || u.Hostname() == "" {
		return nil, fmt.Errorf("it is not the URL of a server, such as %s://USER:PASSWORD@HOST:%s", schemes[0], defaultPort)
	}
	if strings.Contains(u.Host, ",") {
		return nil, errors.New("the URL names several hosts; name one")
	}
	if u.Port() == "" {
		u.Host = net.JoinHostPort(u.Hostname(), defaultPort)
	}
	return u, nil
}

// PostgresURL reads the URL of a PostgreSQL server.
func PostgresURL(text string) (*url.URL, error) {
	return parseURL(text, "5432", "postgres", "postgresql")
}

// RedisURL reads the URL of a Redis server; rediss asks for TLS.
func RedisURL(text string) (*url.URL, error) { return parseURL(text, "6379", "redis", "rediss") }

// The images that the engine docker uses, if no other is asked for.
const (
	PostgresImage = "postgres:17"
	RedisImage    = "redis:7"
)

// How to get what native engines need.
const (
	FixPostgres = "apt-get install postgresql, or brew install postgresql@17"
	FixRedis    = "apt-get install redis-server, or brew install redis"
)

// newestFirst orders dotted versions.
func newestFirst(a, b []int) int { return slices.Compare(b, a) }
