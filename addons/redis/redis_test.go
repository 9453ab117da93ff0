package redis_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/google/uuid"
	goredis "github.com/redis/go-redis/v9"

	"niwa/addons"
	"niwa/addons/addonstest"
	"niwa/addons/engine"
	"niwa/addons/redis"
	"niwa/platform/platformtest/need"
	"niwa/platform/platformtest/standin"
)

func plan(name string, connections int) addons.Plan {
	return addons.Plan{Name: "heroku-redis:" + name, Connections: connections, MemoryBytes: 25 << 20, EvictionPolicy: "noeviction"}
}

func TestMain(m *testing.M) { addonstest.Main(m, openProvider) }

func openProvider(ctx context.Context, c engine.Config) (addonstest.Provider, error) {
	return redis.New(ctx, c)
}

func suite(mode engine.Mode) addonstest.Suite {
	s := addonstest.Suite{
		Config:       engine.Config{Choice: engine.Choice{Mode: mode}},
		Open:         openProvider,
		Dial:         dial,
		Plan:         plan("mini", 4),
		Larger:       plan("premium-0", 7),
		Remains:      func(*testing.T, *addonstest.Home, string) []string { return nil }, // files and processes are all there is
		WriteRefused: func(err error) bool { return err != nil && strings.HasPrefix(err.Error(), "NOPERM") },
	}
	if mode == engine.Native {
		s.Durable = true
		s.Kill = func(t *testing.T, h *addonstest.Home, id string) { addonstest.KillProcess(t, h.Procs, "redis-"+id) }
	}
	return s
}

func TestTheNativeEngineKeepsTheContract(t *testing.T) {
	needRedis(t)
	addonstest.Run(t, suite(engine.Native))
}

func TestTheEmbeddedEngineKeepsTheContract(t *testing.T) {
	addonstest.Run(t, suite(engine.Embedded))
}

func TestTheDockerEngineKeepsTheContract(t *testing.T) {
	standin.Engine(t)
	addonstest.Run(t, addonstest.InDocker(t, suite(engine.Docker), standin.Make(t).Redis, func(id string) string { return "redis-" + id }))
}

func needRedis(t testing.TB) {
	t.Helper()
	if _, ok := engine.FindRedis(); !ok {
		need.Reason(t, "needs redis-server: "+engine.FixRedis)
	}
}

type client struct {
	*goredis.Client
	conn *goredis.Conn // the one connection
}

func dial(ctx context.Context, config map[string]string) (addonstest.Client, error) {
	options, err := goredis.ParseURL(config["URL"])
	if err != nil {
		return nil, err
	}
	options.TLSConfig.InsecureSkipVerify = true // as the heroku CLI does
	options.MaxRetries = -1
	options.DialerRetries = 1
	c := goredis.NewClient(options)
	conn := c.Conn()
	if err := conn.Ping(ctx).Err(); err != nil {
		return nil, errors.Join(err, conn.Close(), c.Close())
	}
	return client{c, conn}, nil
}

func (c client) Put(ctx context.Context, key, value string) error {
	return c.conn.Set(ctx, key, value, 0).Err()
}

func (c client) Get(ctx context.Context, key string) (string, error) {
	return c.conn.Get(ctx, key).Result()
}

func (c client) Secure(context.Context) (bool, error) {
	return c.Options().TLSConfig != nil, nil
}

func (c client) Close() {
	_ = c.conn.Close()
	_ = c.Client.Close()
}

func open(t *testing.T, mode engine.Mode) (*redis.Provider, *addonstest.Home) {
	t.Helper()
	if mode == engine.Native {
		needRedis(t)
	}
	home := addonstest.NewHome(t)
	p, err := redis.New(t.Context(), home.Config(mode))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(context.Background()); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return p, home
}

func provision(t *testing.T, p *redis.Provider) (id, url string) {
	t.Helper()
	id = uuid.NewString()
	resource, err := p.Provision(t.Context(), addons.Request{ID: id, Plan: plan("mini", 20)})
	if err != nil {
		t.Fatal(err)
	}
	return id, resource.Config["URL"]
}

// connect opens a client that verifies the certificate.
func connect(t *testing.T, home *addonstest.Home, address string) *goredis.Client {
	t.Helper()
	options, err := goredis.ParseURL(address)
	if err != nil {
		t.Fatal(err)
	}
	options.TLSConfig = &tls.Config{RootCAs: roots(t, home), ServerName: "127.0.0.1"}
	options.PoolSize, options.MaxRetries = 1, -1
	c := goredis.NewClient(options)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func parse(t *testing.T, address string) *url.URL {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return u
}
