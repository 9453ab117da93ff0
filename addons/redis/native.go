package redis

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/google/renameio/v2"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"niwa/addons/engine"
)

// native is a redis-server process.
type native struct {
	provider *Provider
	process  *engine.Server
	client   *redis.Client // niwa's own user; one connection, which the limit allows for

	mu   sync.Mutex
	last record // that was applied

	changed chan struct{} // wakes keepAlive
	quit    chan struct{} // ends it
}

func (p *Provider) startNative(ctx context.Context, r record, binary engine.Redis) (server, error) {
	dir := p.serverDir(r.ID)
	if err := p.user.CheckReach(dir); err != nil {
		return nil, err
	}
	if err := p.user.MkdirAll(dir); err != nil {
		return nil, err
	}
	s := &native{provider: p, client: p.adminClient(r), last: r,
		changed: make(chan struct{}, 1), quit: make(chan struct{})}
	if err := s.writeFiles(r); err != nil {
		return nil, err
	}
	cert, key, err := p.CA.WriteLeaf(dir)
	if err != nil {
		return nil, err
	}
	if err := p.user.Own(cert, key); err != nil {
		return nil, err
	}
	s.process = &engine.Server{
		ID:      "redis-" + r.ID,
		Procs:   p.Procs,
		LogFile: filepath.Join(dir, "server.log"),
		Log:     p.Log,
		Command: func() (*exec.Cmd, error) {
			if err := engine.CheckPort(r.Port); err != nil {
				return nil, err
			}
			return p.user.Command(dir, binary.Path, filepath.Join(dir, "redis.conf")), nil
		},
		Ready:  s.ready,
		Signal: syscall.SIGTERM, // finishes its file, then ends
		Grace:  20 * time.Second,
	}
	if err := s.process.Start(ctx); err != nil {
		return nil, errors.Join(err, s.client.Close())
	}
	// One that outlived the last niwa may not have heard of the last change.
	if err := s.apply(ctx, r); err != nil {
		return nil, errors.Join(err, s.stop(context.WithoutCancel(ctx)))
	}
	go s.keepAlive()
	return s, nil
}

// ready knocks before it logs in: the client logs each dial that fails.
func (s *native) ready(ctx context.Context) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", s.client.Options().Addr)
	if err != nil {
		return err
	}
	if err := conn.Close(); err != nil {
		return err
	}
	return s.client.Ping(ctx).Err()
}

func (p *Provider) adminClient(r record) *redis.Client {
	return redis.NewClient(&redis.Options{
		Addr:                     r.addr(),
		Username:                 adminUser,
		Password:                 r.Admin,
		TLSConfig:                &tls.Config{RootCAs: p.roots, ServerName: "127.0.0.1", MinVersion: tls.VersionTLS12},
		PoolSize:                 1,
		ConnMaxIdleTime:          -1,
		DialTimeout:              2 * time.Second,
		ReadTimeout:              5 * time.Second,
		ContextTimeoutEnabled:    true,
		DisableIdentity:          true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
}

// keepAlive keeps niwa's connection from being idle for as long as the
// server's timeout: another could not be made while an app holds as many
// connections as its plan allows.
func (s *native) keepAlive() {
	for {
		s.mu.Lock()
		timeout, _ := strconv.Atoi(s.last.setting("timeout")) // set checked it
		s.mu.Unlock()
		pause := time.Minute
		if timeout > 0 {
			pause = min(max(time.Duration(timeout)*time.Second/2, time.Second), pause)
		}
		select {
		case <-s.quit:
			return
		case <-s.changed:
		case <-time.After(pause):
			_ = s.client.Ping(context.Background()).Err() // fails while the server restarts, which others see to
		}
	}
}

func (s *native) engine() engine.Mode { return engine.Native }

func (s *native) apply(ctx context.Context, r record) error {
	if err := s.process.Await(ctx); err != nil {
		return err
	}
	if err := s.writeFiles(r); err != nil {
		return err
	}
	for _, d := range directives(r) {
		if err := s.client.ConfigSet(ctx, d.name, d.value).Err(); err != nil {
			return err
		}
	}
	for _, user := range users(r) {
		args := []any{"acl", "setuser", user.name}
		for rule := range strings.FieldsSeq(user.rules) {
			args = append(args, rule)
		}
		if err := s.client.Do(ctx, args...).Err(); err != nil {
			return err
		}
	}
	if r.Credentials[readOnly] == "" {
		if err := s.client.Do(ctx, "acl", "deluser", readOnly).Err(); err != nil {
			return err
		}
	}
	s.mu.Lock()
	s.last = r
	s.mu.Unlock()
	select {
	case s.changed <- struct{}{}:
	default:
	}
	return nil
}

// writeFiles writes what the server reads when it starts.
func (s *native) writeFiles(r record) error {
	dir := s.provider.serverDir(r.ID)
	conf, acl := filepath.Join(dir, "redis.conf"), filepath.Join(dir, "users.acl")
	var lines strings.Builder
	for _, user := range users(r) {
		fmt.Fprintf(&lines, "user %s %s\n", user.name, user.rules)
	}
	if err := renameio.WriteFile(acl, []byte(lines.String()), 0o600); err != nil {
		return err
	}
	if err := renameio.WriteFile(conf, []byte(configFile(r)), 0o600); err != nil {
		return err
	}
	return s.provider.user.Own(acl, conf)
}

func (s *native) disconnect(ctx context.Context, user string) error {
	if err := s.process.Await(ctx); err != nil {
		return err
	}
	err := s.client.Do(ctx, "client", "kill", "user", user).Err()
	if err != nil && strings.Contains(err.Error(), "No such user") {
		return nil // its connections went with it
	}
	return err
}

func (s *native) resetStats(ctx context.Context) error {
	if err := s.process.Await(ctx); err != nil {
		return err
	}
	return s.client.ConfigResetStat(ctx).Err()
}

func (s *native) stop(ctx context.Context) error {
	close(s.quit)
	return errors.Join(s.client.Close(), s.process.Stop(ctx))
}

// stats are read from INFO.
func (s *native) stats(ctx context.Context) (stats, error) {
	if err := s.process.Await(ctx); err != nil {
		return stats{}, err
	}
	text, err := s.client.Info(ctx).Result()
	if err != nil {
		return stats{}, err
	}
	info := map[string]string{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			info[name] = value
		}
	}
	number := func(name string) int64 {
		n, _ := strconv.ParseInt(info[name], 10, 64) // what this version does not tell counts as 0
		return n
	}
	return stats{
		version:     info["redis_version"],
		connections: int(number("connected_clients")) - 1, // less niwa's own
		memory:      number("used_memory"),
		hits:        number("keyspace_hits"),
		misses:      number("keyspace_misses"),
	}, nil
}
