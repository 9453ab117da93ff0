package redis_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"niwa/addons"
	"niwa/addons/addonstest"
	"niwa/addons/engine"
	"niwa/addons/redis"
	"niwa/platform/platformtest/need"
	"niwa/platform/platformtest/standin"
)

func roots(t *testing.T, home *addonstest.Home) *x509.CertPool {
	t.Helper()
	pem, err := os.ReadFile(home.CA.CertFile())
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	return pool
}

func TestRedisCLIWorksWithTheURL(t *testing.T) {
	cli := need.Tool(t, "redis-cli")
	for _, mode := range []engine.Mode{engine.Native, engine.Embedded} {
		t.Run(string(mode), func(t *testing.T) {
			p, home := open(t, mode)
			_, url := provision(t, p)
			secret, _ := parse(t, url).User.Password()
			cmd := exec.Command(cli, "-h", "127.0.0.1", "-p", parse(t, url).Port(), "--tls", "--cacert", home.CA.CertFile(), "PING")
			cmd.Env = append(os.Environ(), "REDISCLI_AUTH="+secret)
			if out, err := cmd.CombinedOutput(); err != nil || strings.TrimSpace(string(out)) != "PONG" {
				t.Errorf("redis-cli says %q, %v", out, err)
			}
		})
	}
}

func TestAnAppInAContainerReachesItsServer(t *testing.T) {
	host, err := standin.Engine(t).Gateway(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, mode := range []engine.Mode{engine.Native, engine.Embedded} {
		t.Run(string(mode), func(t *testing.T) {
			if mode == engine.Native {
				needRedis(t)
			}
			config := addonstest.NewHome(t).Config(mode)
			config.Host = host
			p, err := redis.New(t.Context(), config)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = p.Close(context.Background()) })
			_, url := provision(t, p)
			secret, _ := parse(t, url).User.Password()
			said, err := standin.Run(t, standin.Make(t).Tools, []string{"REDISCLI_AUTH=" + secret},
				"redis-cli", "-h", parse(t, url).Hostname(), "-p", parse(t, url).Port(), "--tls", "--insecure", "ping")
			if err != nil || !strings.Contains(said, "PONG") {
				t.Errorf("redis-cli says %q, %v", said, err)
			}
		})
	}
}

func TestMemoryAndEvictionAreThePlans(t *testing.T) {
	p, home := open(t, engine.Native)
	id, url := provision(t, p)
	c := connect(t, home, url)
	value := strings.Repeat("x", 1<<20)
	var err error
	for i := 0; err == nil && i < 40; i++ {
		err = c.Set(t.Context(), fmt.Sprint(i), value, 0).Err()
	}
	if err == nil || !strings.HasPrefix(err.Error(), "OOM") {
		t.Fatalf("40 MB fit in a plan of 25 MB: %v", err)
	}
	if _, err := p.Configure(t.Context(), id, "maxmemory_policy", "allkeys-lru"); err != nil {
		t.Fatal(err)
	}
	for i := range 40 {
		if err := c.Set(t.Context(), fmt.Sprint(i), value, 0).Err(); err != nil {
			t.Fatalf("with eviction: %v", err)
		}
	}
}

func TestSettingsSurviveARestart(t *testing.T) {
	p, home := open(t, engine.Native)
	id, url := provision(t, p)
	for name, value := range map[string]string{"timeout": "10", "maxmemory_policy": "volatile-ttl", "notify_keyspace_events": "KEA"} {
		settings, err := p.Configure(t.Context(), id, name, value)
		if err != nil {
			t.Fatal(err)
		}
		check(t, settings, name, value)
	}
	if err := p.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	again, err := redis.New(t.Context(), home.Config(engine.Native))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = again.Close(context.Background()) })
	settings, err := again.Settings(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	check(t, settings, "timeout", "10")
	events := connect(t, home, url).PSubscribe(t.Context(), "__keyevent@0__:set")
	defer events.Close()
	if _, err := events.Receive(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := connect(t, home, url).Set(t.Context(), "key", "value", 0).Err(); err != nil {
		t.Fatal(err)
	}
	message, err := events.ReceiveMessage(t.Context())
	if err != nil || message.Payload != "key" {
		t.Errorf("the live server sends %v, %v", message, err)
	}
}

func check(t *testing.T, settings []addons.Setting, name, value string) {
	t.Helper()
	for _, s := range settings {
		if s.Name == name && s.Value == value {
			return
		}
	}
	t.Errorf("%s is not %s in %+v", name, value, settings)
}

func TestASettingThatMakesNoSenseIsRefused(t *testing.T) {
	p, _ := open(t, engine.Native)
	id, _ := provision(t, p)
	for name, value := range map[string]string{
		"timeout": "-1", "maxmemory_policy": "sometimes", "notify_keyspace_events": "K\nport 1", "dir": "/etc",
	} {
		if _, err := p.Configure(t.Context(), id, name, value); err == nil {
			t.Errorf("%s %q: accepted", name, value)
		}
	}
}

func TestTheDefaultUserCannotLiftItsLimits(t *testing.T) {
	p, home := open(t, engine.Native)
	_, url := provision(t, p)
	c := connect(t, home, url)
	for _, command := range []string{
		"config set maxmemory 0", "config get *", "acl setuser default allcommands", "acl list", "debug sleep 0",
		"module load /x", "shutdown", "replicaof 127.0.0.1 1", "migrate 127.0.0.1 1 k 0 1", "save",
	} {
		var args []any
		for word := range strings.FieldsSeq(command) {
			args = append(args, word)
		}
		err := c.Do(t.Context(), args...).Err()
		if err == nil || !strings.HasPrefix(err.Error(), "NOPERM") && !strings.Contains(err.Error(), "command not allowed") {
			t.Errorf("%s: %v", command, err)
		}
	}
	for _, command := range []string{"info", "keys *", "flushall", "eval return(1) 0", "client list", "slowlog get", "command count"} {
		var args []any
		for word := range strings.FieldsSeq(command) {
			args = append(args, word)
		}
		if err := c.Do(t.Context(), args...).Err(); err != nil {
			t.Errorf("%s: %v", command, err)
		}
	}
}

func TestTheReaderMayNotWriteInAnyWay(t *testing.T) {
	for _, mode := range []engine.Mode{engine.Native, engine.Embedded} {
		t.Run(string(mode), func(t *testing.T) {
			p, home := open(t, mode)
			id, url := provision(t, p)
			config, err := p.CreateCredential(t.Context(), id, "readonly")
			if err != nil {
				t.Fatal(err)
			}
			reader := connect(t, home, config["URL"])
			for _, command := range []string{
				"set k v", "del k", "expire k 1", "lpush l v", "flushall", "getdel k", "eval return(redis.call('set','k','v')) 0",
				"eval_ro return(1) 0", "publish c m", "rename k j", "xadd s * a b", "getex k ex 1", "sort l store x",
			} {
				var args []any
				for word := range strings.FieldsSeq(command) {
					args = append(args, word)
				}
				if err := reader.Do(t.Context(), args...).Err(); err == nil || !strings.HasPrefix(err.Error(), "NOPERM") {
					t.Errorf("%s: %v", command, err)
				}
			}
			_, err = reader.TxPipelined(t.Context(), func(tx goredis.Pipeliner) error {
				tx.Set(t.Context(), "k", "v", 0)
				return nil
			})
			if err == nil {
				t.Error("it may write in a transaction")
			}
			if n, err := connect(t, home, url).DBSize(t.Context()).Result(); err != nil || n != 0 {
				t.Errorf("%d keys were written, %v", n, err)
			}
			for _, name := range []string{"writer", "default"} {
				if _, err := p.CreateCredential(t.Context(), id, name); err == nil {
					t.Errorf("made %q", name)
				}
			}
		})
	}
}

func TestAnIdleConnectionOfNiwaSurvivesAShortTimeout(t *testing.T) {
	p, home := open(t, engine.Native)
	id, url := provision(t, p)
	if _, err := p.Configure(t.Context(), id, "timeout", "1"); err != nil {
		t.Fatal(err)
	}
	c := connect(t, home, url)
	admin := func() string {
		list, err := c.ClientList(t.Context()).Result()
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(list) {
			if strings.Contains(line, "user=niwa") {
				return strings.Fields(line)[0]
			}
		}
		return ""
	}
	before := admin()
	deadline := time.Now().Add(5 * time.Second) // several times the timeout
	for time.Now().Before(deadline) {
		if now := admin(); now != before {
			t.Fatalf("niwa's connection %q became %q", before, now)
		}
		time.Sleep(200 * time.Millisecond)
	}
}

func TestTheEmbeddedEngineSaysWhatItIsNot(t *testing.T) {
	p, home := open(t, engine.Embedded)
	id, url := provision(t, p)
	if _, err := p.Configure(t.Context(), id, "timeout", "10"); err == nil || !strings.Contains(err.Error(), "install redis-server") {
		t.Errorf("configure: %v", err)
	}
	rows, err := p.Info(t.Context(), id, plan("mini", 20))
	if err != nil || !strings.Contains(fmt.Sprint(rows), "lost when niwa stops") {
		t.Errorf("info: %v, %v", rows, err)
	}
	c := connect(t, home, url)
	if err := c.Set(t.Context(), "k", "v", 50*time.Millisecond).Err(); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(5 * time.Second)
	for c.Get(t.Context(), "k").Err() != goredis.Nil {
		if time.Now().After(deadline) {
			t.Fatal("a key does not expire")
		}
		time.Sleep(10 * time.Millisecond)
	}
	if n, err := c.Eval(t.Context(), "redis.call('set', KEYS[1], '1'); return redis.call('incr', KEYS[1])", []string{"n"}).Int(); err != nil || n != 2 {
		t.Errorf("a script gives %d, %v", n, err)
	}
}

func TestNothingAClientSendsEndsTheEmbeddedEngine(t *testing.T) {
	p, home := open(t, engine.Embedded)
	_, url := provision(t, p)
	secret, _ := parse(t, url).User.Password()
	login := fmt.Sprintf("*2\r\n$4\r\nAUTH\r\n$%d\r\n%s\r\n", len(secret), secret)
	for _, input := range []string{
		"*0\r\n", "*-1\r\n", "*1\r\n$9223372036854775807\r\n", "*1\r\n$4611686018427387904\r\n", "*1\r\n$-5\r\n",
		"*9223372036854775807\r\n$1\r\na\r\n", "GET / HTTP/1.1\r\n\r\n", "\r\n", "*1\r\n*1\r\n", "*1\r\n$0\r\n\r\n",
		"*x\r\n", "$1\r\na\r\n", strings.Repeat("A", 100000), "*1\r\n$4\r\nPI",
		login + "*0\r\n*1\r\n$0\r\n\r\n", login + "*2\r\n$4\r\nEVAL\r\n$1\r\n(\r\n",
	} {
		conn, err := tls.Dial("tcp", parse(t, url).Host, &tls.Config{RootCAs: roots(t, home)})
		if err != nil {
			t.Fatal(err)
		}
		_, _ = conn.Write([]byte(input))
		_ = conn.CloseWrite()
		_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
		for err == nil {
			_, err = conn.Read(make([]byte, 1024))
		}
		if e, ok := err.(net.Error); ok && e.Timeout() {
			t.Errorf("%.40q: the connection hangs", input)
		}
		_ = conn.Close()
	}
	if err := connect(t, home, url).Ping(t.Context()).Err(); err != nil {
		t.Error(err)
	}
}

func TestSavedDataAreNotLeftForTheEmbeddedEngine(t *testing.T) {
	p, home := open(t, engine.Native)
	id, _ := provision(t, p)
	if err := p.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	again, err := redis.New(t.Context(), home.Config(engine.Embedded))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := again.Info(t.Context(), id, addons.Plan{}); err == nil || !strings.Contains(err.Error(), "--engines auto") {
		t.Errorf("got %v", err)
	}
	if err := again.Deprovision(t.Context(), id); err != nil {
		t.Errorf("it can still be destroyed: %v", err)
	}
}
