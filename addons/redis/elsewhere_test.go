package redis_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"niwa/addons"
	"niwa/addons/addonstest"
	"niwa/addons/engine"
	"niwa/addons/redis"
	"niwa/platform/proc"
)

// elsewhere is a redis-server that is not niwa's own.
type elsewhere struct {
	dir   string
	port  int
	admin *goredis.Client
	url   string // of the administrator
	procs *proc.Table
}

func serverElsewhere(t *testing.T) *elsewhere {
	t.Helper()
	needRedis(t)
	home := addonstest.NewHome(t)
	s := &elsewhere{dir: filepath.Join(home.Dir, "server"), procs: home.Procs}
	if err := os.Mkdir(s.dir, 0o777); err != nil {
		t.Fatal(err)
	}
	cert, key, err := home.CA.WriteLeaf(s.dir, "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	if s.port, err = engine.FreePort("127.0.0.1"); err != nil {
		t.Fatal(err)
	}
	secret := engine.Password()
	conf := fmt.Sprintf("bind 127.0.0.1\nport 0\ntls-port %d\ntls-cert-file %s\ntls-key-file %s\ntls-auth-clients no\n"+
		"databases 64\nrequirepass %s\ndir %s\nappendonly yes\nappendfsync always\n", s.port, cert, key, secret, s.dir)
	if err := os.WriteFile(filepath.Join(s.dir, "redis.conf"), []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	s.url = fmt.Sprintf("rediss://:%s@127.0.0.1:%d?skip_verify=true", secret, s.port)
	s.start(t)
	s.admin = unverified(t, s.url)
	return s
}

// unverified opens a client that takes every certificate.
func unverified(t *testing.T, url string) *goredis.Client {
	t.Helper()
	options, err := goredis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	options.TLSConfig.InsecureSkipVerify = true
	options.PoolSize = 1
	c := goredis.NewClient(options)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// start starts the server. It keeps its data, and forgets its users.
func (s *elsewhere) start(t *testing.T) {
	t.Helper()
	found, _ := engine.FindRedis()
	if _, err := s.procs.Start("elsewhere", exec.Command(found.Path, filepath.Join(s.dir, "redis.conf"))); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(20 * time.Second)
	for unverified(t, s.url).Ping(t.Context()).Err() != nil {
		if time.Now().After(deadline) {
			t.Fatal("redis-server does not answer")
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (s *elsewhere) config() engine.Config {
	return engine.Config{Choice: engine.Choice{Mode: engine.External, URL: s.url}}
}

// users are those that niwa made.
func (s *elsewhere) users(t *testing.T) []string {
	t.Helper()
	all, err := s.admin.Do(t.Context(), "acl", "users").StringSlice()
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, name := range all {
		if strings.HasPrefix(name, "niwa_") {
			found = append(found, name)
		}
	}
	return found
}

func TestTheExternalEngineKeepsTheContract(t *testing.T) {
	server := serverElsewhere(t)
	s := suite(engine.External)
	s.Config = server.config()
	s.Durable, s.Elsewhere, s.Unlimited = true, true, true
	s.Kill = func(t *testing.T, _ *addonstest.Home, _ string) {
		addonstest.KillProcess(t, server.procs, "elsewhere")
		server.start(t)
	}
	s.Remains = func(t *testing.T, _ *addonstest.Home, id string) (left []string) {
		for _, name := range server.users(t) {
			if name == engine.Name("niwa_", "user", id, "default") || name == engine.Name("niwa_", "user", id, "readonly") {
				left = append(left, name)
			}
		}
		return left
	}
	addonstest.Run(t, s)
}

// tenants opens a provider on a server elsewhere, with two add-ons.
func tenants(t *testing.T) (server *elsewhere, p *redis.Provider, a, b *goredis.Client, ids [2]string) {
	t.Helper()
	server = serverElsewhere(t)
	home := addonstest.NewHome(t)
	config := home.Config(engine.External)
	config.URL = server.url
	p, err := redis.New(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close(context.Background()) })
	var urls [2]string
	for i := range ids {
		ids[i], urls[i] = provision(t, p)
	}
	return server, p, unverified(t, urls[0]), unverified(t, urls[1]), ids
}

func TestATenantReachesNoDatabaseButItsOwn(t *testing.T) {
	_, _, a, b, _ := tenants(t)
	mine, other := a.Options().DB, b.Options().DB
	if err := b.Set(t.Context(), "secret", "b", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if err := a.Set(t.Context(), "secret", "a", 0).Err(); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{
		fmt.Sprintf("select %d", other), "select 0", fmt.Sprintf("move secret %d", other), fmt.Sprintf("swapdb %d %d", mine, other),
		fmt.Sprintf("copy secret stolen db %d replace", other), "flushall", "monitor", "client list", "client kill id 1", "slowlog get",
		"pubsub channels", "subscribe news", "psubscribe *", fmt.Sprintf("psubscribe __keyevent@%d__:*", other), "publish news x",
		"client tracking on bcast", "script flush", "script kill", "function list", "config get *", "acl list", "shutdown", "save",
		"migrate 127.0.0.1 1 k 0 1", "replicaof no one", "debug sleep 0", "module list", "latency reset",
		fmt.Sprintf("eval redis.call('select',%d) 0", other), "eval redis.call('flushall') 0",
	} {
		var args []any
		for word := range strings.FieldsSeq(command) {
			args = append(args, word)
		}
		err := a.Do(t.Context(), args...).Err()
		if err == nil || !regexp.MustCompile(`NOPERM|user executing the script can't run|ACL failure|DEBUG command not allowed`).MatchString(err.Error()) {
			t.Errorf("%s: %v", command, err)
		}
	}
	for _, command := range []string{
		"info", "keys *", "randomkey", "dbsize", "scan 0", "eval return(redis.call('get','secret')) 0", "script load return(1)", "client id",
		"client setname x", "command count", "flushdb", "ping", fmt.Sprintf("select %d", mine),
	} {
		var args []any
		for word := range strings.FieldsSeq(command) {
			args = append(args, word)
		}
		got, err := a.Do(t.Context(), args...).Result()
		if err != nil || strings.Contains(fmt.Sprint(got), "b") && command == "keys *" {
			t.Errorf("%s: %v, %v", command, got, err)
		}
	}
	if got, err := b.Get(t.Context(), "secret").Result(); err != nil || got != "b" {
		t.Errorf("the other tenant has %q, %v", got, err)
	}
}

func TestChannelsOfATenantHaveItsPrefix(t *testing.T) {
	_, p, a, _, ids := tenants(t)
	rows, err := p.Info(t.Context(), ids[0], plan("mini", 20))
	if err != nil {
		t.Fatal(err)
	}
	var prefix string
	for _, row := range rows {
		if row.Name == "Channels" {
			prefix = row.Values[0][strings.LastIndex(row.Values[0], " ")+1:]
		}
	}
	listener := a.PSubscribe(t.Context(), prefix+"*")
	defer listener.Close()
	if _, err := listener.Receive(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := a.Publish(t.Context(), prefix+"news", "hello").Err(); err != nil {
		t.Fatal(err)
	}
	if message, err := listener.ReceiveMessage(t.Context()); err != nil || message.Payload != "hello" {
		t.Errorf("got %v, %v", message, err)
	}
}

func TestADatabaseThatSomebodyUsesIsNotGivenAway(t *testing.T) {
	server := serverElsewhere(t)
	if err := server.admin.Do(t.Context(), "acl", "setuser", "somebody", "-select", "+select|1").Err(); err != nil {
		t.Fatal(err)
	}
	occupied := server.admin.Conn()
	defer occupied.Close()
	if err := occupied.Select(t.Context(), 2).Err(); err != nil {
		t.Fatal(err)
	}
	if err := occupied.Set(t.Context(), "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	home := addonstest.NewHome(t)
	config := home.Config(engine.External)
	config.URL = server.url
	p, err := redis.New(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close(context.Background()) })
	id, url := provision(t, p)
	if !strings.HasSuffix(url, "/3") {
		t.Errorf("it was given %s", url[strings.LastIndex(url, "/"):])
	}
	if err := p.Deprovision(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if v, err := occupied.Get(t.Context(), "k").Result(); err != nil || v != "v" {
		t.Errorf("somebody else's key is %q, %v", v, err)
	}
}

func TestAServerWhoseFirstDatabaseHoldsKeysIsRefused(t *testing.T) {
	server := serverElsewhere(t)
	if err := server.admin.Set(t.Context(), "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	config := addonstest.NewHome(t).Config(engine.External)
	config.URL = server.url
	p, err := redis.New(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close(context.Background()) })
	_, err = p.Provision(t.Context(), addons.Request{ID: "6a6b8a4e-0000-4000-8000-000000000001", Plan: plan("mini", 20)})
	if err == nil || !strings.Contains(err.Error(), "a server of its own") {
		t.Errorf("got %v", err)
	}
}

func TestAnExternalServerThatIsAwayIsToldWithoutItsSecret(t *testing.T) {
	config := addonstest.NewHome(t).Config(engine.Auto)
	config.URL = "rediss://admin:geheim@127.0.0.1:1"
	p, err := redis.New(t.Context(), config)
	if err != nil {
		t.Fatalf("the platform must come up all the same: %v", err)
	}
	t.Cleanup(func() { _ = p.Close(context.Background()) })
	_, err = p.Provision(t.Context(), addons.Request{ID: "6a6b8a4e-0000-4000-8000-000000000001"})
	if err == nil || !strings.Contains(err.Error(), "127.0.0.1:1") || strings.Contains(err.Error(), "geheim") {
		t.Errorf("got %v", err)
	}
}
