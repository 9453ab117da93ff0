package redis

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"niwa/addons"
	"niwa/addons/engine"
)

// daemon is a redis-server.
type daemon struct {
	home   *engine.Home
	dir    string
	mode   engine.Mode
	server *engine.Server
	client *redis.Client // niwa's own user; one connection, which the limit allows for

	mu   sync.Mutex
	last record // that was applied

	changed chan struct{} // wakes keepAlive
	quit    chan struct{} // ends it
}

func (p *Provider) startDaemon(ctx context.Context, r record, on host) (server, error) {
	dir := p.serverDir(r.ID)
	if err := p.User.CheckReach(dir); err != nil {
		return nil, err
	}
	if err := p.User.MkdirAll(dir); err != nil {
		return nil, err
	}
	if err := engine.Clean(dir); err != nil {
		return nil, err
	}
	s := &daemon{home: p.Home, dir: dir, mode: on.engine, client: p.adminClient(r), last: r,
		changed: make(chan struct{}, 1), quit: make(chan struct{})}
	if err := s.writeFiles(r); err != nil {
		return nil, err
	}
	cert, key, err := p.CA.WriteLeaf(dir, p.Names()...)
	if err != nil {
		return nil, err
	}
	if err := p.User.Own(cert, key); err != nil {
		return nil, err
	}
	s.server = &engine.Server{
		Task: engine.Task{
			ID: taskOf(r.ID), Dir: dir, Args: []string{on.program, filepath.Join(dir, "redis.conf")},
			Log: filepath.Join(dir, "server.log"), Config: strings.Join(fixed(p.Hosts(), r.Port), "\n"),
			Signal: syscall.SIGTERM, // finishes its file, then ends
			Check:  func() error { return p.CheckPort(r.Port) },
		},
		Launcher: on.launcher,
		Ready:    s.ready,
		Grace:    20 * time.Second,
		Log:      p.Log,
	}
	if err := s.server.Start(ctx); err != nil {
		return nil, errors.Join(err, s.client.Close())
	}
	go s.keepAlive()
	// One that outlived the last niwa may not have heard of the last change.
	if err := s.apply(ctx, r); err != nil {
		return nil, errors.Join(err, s.stop(context.WithoutCancel(ctx)))
	}
	return s, nil
}

// taskOf names an add-on's server.
func taskOf(id string) string { return "redis-" + id }

// ready knocks before it logs in: the client logs each dial that fails.
func (s *daemon) ready(ctx context.Context) error {
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
		Addr:                     r.addr("127.0.0.1"),
		Username:                 adminUser,
		Password:                 r.Admin,
		TLSConfig:                &tls.Config{RootCAs: p.Roots, ServerName: "127.0.0.1", MinVersion: tls.VersionTLS12},
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
func (s *daemon) keepAlive() {
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

func (s *daemon) engine() engine.Mode { return s.mode }

func (s *daemon) apply(ctx context.Context, r record) error {
	if err := s.server.Await(ctx); err != nil {
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
		if err := user.set(ctx, s.client); err != nil {
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
func (s *daemon) writeFiles(r record) error {
	conf, acl := filepath.Join(s.dir, "redis.conf"), filepath.Join(s.dir, "users.acl")
	var lines strings.Builder
	for _, user := range users(r) {
		fmt.Fprintf(&lines, "user %s %s\n", user.name, user.rules)
	}
	if err := engine.WriteFile(acl, []byte(lines.String()), 0o600); err != nil {
		return err
	}
	if err := engine.WriteFile(conf, []byte(configFile(s.home.Hosts(), r)), 0o600); err != nil {
		return err
	}
	return s.home.User.Own(acl, conf)
}

func (s *daemon) disconnect(ctx context.Context, user string) error {
	if err := s.server.Await(ctx); err != nil {
		return err
	}
	return kick(ctx, s.client, user)
}

func (s *daemon) resetStats(ctx context.Context) error {
	if err := s.server.Await(ctx); err != nil {
		return err
	}
	return s.client.ConfigResetStat(ctx).Err()
}

func (s *daemon) stop(ctx context.Context) error {
	close(s.quit)
	return errors.Join(s.client.Close(), s.server.Stop(ctx))
}

func (s *daemon) info(ctx context.Context, r record) (version string, rows []addons.Row, err error) {
	if err := s.server.Await(ctx); err != nil {
		return "", nil, err
	}
	now, err := readInfo(ctx, s.client)
	if err != nil {
		return "", nil, err
	}
	version = now["redis_version"]
	return version, []addons.Row{
		engine.Row("Timeout", r.setting("timeout")),
		engine.Row("Maxmemory", size(r.Plan.MemoryBytes)),
		engine.Row("Maxmemory policy", r.setting("maxmemory_policy")),
		engine.Row("Connections", engine.Of(int(now.number("connected_clients"))-1, r.Plan.Connections)), // less niwa's own
		engine.Row("Memory", size(now.number("used_memory"))),
		engine.Row("Hit rate", rate(now.number("keyspace_hits"), now.number("keyspace_misses"))),
		engine.Row("Persistence", "AOF"),
		engine.Row("Engine", fmt.Sprintf("%s, Redis %s", s.mode, version)),
	}, nil
}
