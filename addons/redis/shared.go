package redis

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"niwa/addons/engine"
	"niwa/platform"
)

// shared is a Redis server elsewhere, as its administrator.
type shared struct {
	url    *url.URL
	client *redis.Client
	log    *slog.Logger
	quit   chan struct{} // ends keep

	mu      sync.Mutex
	tenants map[string]*tenant // by add-on
}

// oldestElsewhere is the oldest version that will do: the first whose ACLs
// know subcommands, and apply to what scripts call.
const oldestElsewhere = 7

// meet returns the server elsewhere, if it will do.
func (p *Provider) meet(ctx context.Context) (*shared, error) {
	p.meeting.Lock()
	defer p.meeting.Unlock()
	if p.elsewhere != nil {
		return p.elsewhere, nil
	}
	u, err := p.urlElsewhere()
	if err != nil {
		return nil, err
	}
	options, err := redis.ParseURL(u.String())
	if err != nil { // which may hold the URL
		return nil, errors.New("the URL of the external Redis server is not understood")
	}
	options.DialTimeout, options.ContextTimeoutEnabled, options.DisableIdentity = 5*time.Second, true, true
	options.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	s := &shared{url: u, client: redis.NewClient(options), log: p.Log, quit: make(chan struct{}), tenants: map[string]*tenant{}}
	if err := s.check(ctx); err != nil {
		return nil, errors.Join(err, s.client.Close())
	}
	go s.keep()
	p.elsewhere = s
	return s, nil
}

// urlElsewhere is the URL of the server elsewhere.
func (p *Provider) urlElsewhere() (*url.URL, error) {
	if !p.Elsewhere() {
		return nil, platform.Errorf(platform.Unavailable, "This Key-Value Store is on an external server; start niwa with its --redis-url, and --engines auto or external.")
	}
	return engine.RedisURL(p.URL)
}

func (s *shared) check(ctx context.Context) error {
	now, err := readInfo(ctx, s.client)
	if err == nil {
		err = s.client.Do(ctx, "acl", "users").Err()
	}
	if err != nil {
		return platform.Errorf(platform.Unavailable, "The Redis server at %s does not let niwa in as an administrator: %v", s.url.Host, err)
	}
	major, _, _ := strings.Cut(now["redis_version"], ".")
	if n, err := strconv.Atoi(major); err != nil || n < oldestElsewhere {
		return platform.Errorf(platform.Unavailable, "The Redis server at %s is version %s, and an external one has to be %d.0 or newer.", s.url.Host, now["redis_version"], oldestElsewhere)
	}
	return nil
}

func (s *shared) close() error {
	close(s.quit)
	return s.client.Close()
}

// keepEvery is how soon the users are back after the server has forgotten
// them.
const keepEvery = 2 * time.Second

// keep gives the server its users again when it has lost them, as it does
// when it starts again: where they are kept is its administrator's matter.
func (s *shared) keep() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for {
		select {
		case <-s.quit:
			return
		case <-time.After(keepEvery):
		}
		there, err := s.client.Do(ctx, "acl", "users").StringSlice()
		if err != nil {
			continue // it is away, and looked at again
		}
		s.mu.Lock()
		all := slices.Collect(maps.Values(s.tenants))
		s.mu.Unlock()
		for _, t := range all {
			if err := t.restore(ctx, there); err != nil {
				s.log.Warn("an external Redis does not take its users back", "server", s.url.Host, "error", err)
			}
		}
	}
}

// selects finds the database that a user may select in its rules.
var selects = regexp.MustCompile(`\+select\|(\d+)`)

// free finds a database for a tenant: one that holds nothing and that no user
// is confined to. There is none in which everybody begins: 0.
func (s *shared) free(ctx context.Context) (int, error) {
	taken := map[int]bool{0: true}
	now, err := readInfo(ctx, s.client)
	if err != nil {
		return 0, err
	}
	for name := range now { // db3:keys=1,expires=0,avg_ttl=0
		if n, err := strconv.Atoi(strings.TrimPrefix(name, "db")); err == nil {
			taken[n] = true
		}
	}
	list, err := s.client.Do(ctx, "acl", "list").StringSlice()
	if err != nil {
		return 0, err
	}
	tenants := 0
	for _, user := range list {
		if found := selects.FindStringSubmatch(user); found != nil {
			n, _ := strconv.Atoi(found[1]) // the pattern takes digits alone
			taken[n] = true
			tenants++
		}
	}
	if now["db0"] != "" && tenants == 0 {
		return 0, platform.Errorf(platform.Unavailable, "Database 0 of the Redis server at %s holds keys, and every app could read them; give niwa a server of its own.", s.url.Host)
	}
	for n := range s.databases(ctx) {
		if !taken[n] {
			return n, nil
		}
	}
	return 0, platform.Errorf(platform.Unavailable, "Every database of the Redis server at %s is taken; raise \"databases\" in its configuration.", s.url.Host)
}

// databases is how many the server has, as far as it tells.
func (s *shared) databases(ctx context.Context) int {
	config, err := s.client.ConfigGet(ctx, "databases").Result()
	if err != nil {
		return 16 // the usual number, where CONFIG is not allowed
	}
	n, _ := strconv.Atoi(config["databases"])
	return cmp.Or(n, 16)
}

// clear empties a database.
func (s *shared) clear(ctx context.Context, database int) error {
	if database == 0 {
		return nil // it never had one
	}
	conn := s.client.Conn()
	_, err := conn.Pipelined(ctx, func(p redis.Pipeliner) error {
		p.Select(ctx, database)
		p.FlushDB(ctx)
		p.Select(ctx, s.client.Options().DB)
		return nil
	})
	if err != nil {
		err = fmt.Errorf("empty database %d: %w", database, err)
	}
	return errors.Join(err, conn.Close())
}
