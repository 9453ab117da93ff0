// Package engine is what the data services stand on: it decides whether a
// service runs on the real server's binaries that this machine has (native)
// or on what niwa can fetch or carries inside (embedded), as which user, on
// which port, and keeps a server running until it is told to stop.
package engine

import (
	"fmt"
	"slices"
)

// Mode is the engine that was asked for.
type Mode string

// The engines a service can run on. Auto prefers native.
const (
	Auto     Mode = "auto"
	Native   Mode = "native"
	Embedded Mode = "embedded"
)

// ParseMode reads the value of --engines.
func ParseMode(s string) (Mode, error) {
	switch m := Mode(s); m {
	case Auto, Native, Embedded:
		return m, nil
	case "external", "docker":
		return "", fmt.Errorf("engine %s is not available yet; use native or embedded", s)
	}
	return "", fmt.Errorf("unknown engine %q; use auto, native or embedded", s)
}

// Allows says whether a service may run on the engine e.
func (m Mode) Allows(e Mode) bool { return m == Auto || m == e }

// Report says what one service would run on, for niwa doctor.
type Report struct {
	Service string // heroku-postgresql
	Engine  Mode   // empty when the service cannot run
	Detail  string // "PostgreSQL 15.20 in /usr/lib/postgresql/15/bin"
	Missing string // what would make it better or possible; empty when nothing is
	Fix     string // how to get that
}

// Probe reports, without starting anything, what each service would run on.
func Probe(mode Mode) []Report {
	return []Report{probePostgres(mode), probeRedis(mode)}
}

func probePostgres(mode Mode) Report {
	r := Report{Service: "heroku-postgresql"}
	if found := FindPostgres(); mode.Allows(Native) && len(found) > 0 {
		r.Engine, r.Detail = Native, fmt.Sprintf("PostgreSQL %s in %s", found[0].Version, found[0].Bin)
		return r
	}
	if mode.Allows(Embedded) {
		r.Engine, r.Detail = Embedded, "PostgreSQL binaries, downloaded when the first database is made"
	}
	if mode.Allows(Native) {
		r.Missing, r.Fix = fmt.Sprintf("PostgreSQL %d or newer", OldestPostgres), FixPostgres
	}
	return r
}

func probeRedis(mode Mode) Report {
	r := Report{Service: "heroku-redis"}
	if found, ok := FindRedis(); mode.Allows(Native) && ok {
		r.Engine, r.Detail = Native, fmt.Sprintf("redis-server %s in %s", found.Version, found.Path)
		return r
	}
	if mode.Allows(Embedded) {
		r.Engine, r.Detail = Embedded, "a Redis inside niwa: data are lost when niwa stops, and memory is not limited"
	}
	if mode.Allows(Native) {
		r.Missing, r.Fix = "redis-server "+OldestRedis+" or newer", FixRedis
	}
	return r
}

// How to get what native engines need.
const (
	FixPostgres = "apt-get install postgresql, or brew install postgresql@17"
	FixRedis    = "apt-get install redis-server, or brew install redis"
)

// newestFirst orders dotted versions.
func newestFirst(a, b []int) int { return slices.Compare(b, a) }
