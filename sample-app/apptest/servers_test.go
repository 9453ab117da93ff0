package apptest

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"niwa/platform/platformtest/need"
)

// server is a process of this machine that the test starts and may kill.
type server struct {
	cmd  *exec.Cmd
	log  *buffer
	done chan struct{}
}

type buffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// start starts a server that is killed with the test.
func start(t *testing.T, env []string, name string, args ...string) *server {
	t.Helper()
	s := &server{cmd: unprivileged(exec.Command(name, args...)), log: &buffer{}, done: make(chan struct{})}
	s.cmd.Env, s.cmd.Dir = env, "/"
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		s.cmd.Wait()
		close(s.done)
	}()
	t.Cleanup(func() { s.end(t, syscall.SIGKILL) })
	return s
}

// end sends a signal and waits until the server has ended.
func (s *server) end(t *testing.T, sig syscall.Signal) {
	t.Helper()
	s.signal(sig)
	select {
	case <-s.done:
	case <-time.After(30 * time.Second):
		t.Fatalf("%s does not end at %v:\n%s", s.cmd.Path, sig, s.log)
	}
}

// signal reaches a server that has ended, too, to no effect.
func (s *server) signal(sig syscall.Signal) { _ = s.cmd.Process.Signal(sig) }

// unprivileged makes root run a command as nobody: PostgreSQL insists.
func unprivileged(cmd *exec.Cmd) *exec.Cmd {
	if os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	return cmd
}

// dir is a folder of the servers' user.
func dir(t *testing.T) string {
	t.Helper()
	path := t.TempDir()
	for d := path; d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if os.Geteuid() == 0 {
		if err := os.Chown(path, 65534, 65534); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// await waits until check finds that a server answers.
func await(t *testing.T, s *server, check func(context.Context) error) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		err := check(ctx)
		cancel()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("still %v:\n%s", err, s.log)
		}
		select {
		case <-s.done:
			t.Fatalf("%s has ended:\n%s", s.cmd.Path, s.log)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// startPostgres returns the URL of a new and empty database.
func startPostgres(t *testing.T) string {
	const bin = "/usr/lib/postgresql/15/bin"
	initdb, postgres := need.Tool(t, "initdb", bin), need.Tool(t, "postgres", bin)
	data, port := dir(t), freePort(t)
	cmd := unprivileged(exec.Command(initdb, "-D", data+"/pg", "-U", "app", "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C"))
	cmd.Dir = "/"
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	s := start(t, nil, postgres, "-D", data+"/pg", "-p", port, "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "fsync=off")
	url := "postgres://app@127.0.0.1:" + port + "/postgres"
	await(t, s, func(ctx context.Context) error {
		conn, err := pgx.Connect(ctx, url)
		if err == nil {
			err = conn.Close(ctx)
		}
		return err
	})
	return url
}

// cacheServer is a Redis that can be killed and started again where it was.
type cacheServer struct {
	*server
	port    string
	dir     string
	admin   *redis.Client
	url     string
	readURL string // of a user that cannot write
}

func startRedis(t *testing.T) *cacheServer {
	c := &cacheServer{port: freePort(t), dir: dir(t)}
	c.url = "redis://default:writer@127.0.0.1:" + c.port
	c.readURL = "redis://reader:reader@127.0.0.1:" + c.port
	c.admin = redis.NewClient(&redis.Options{Addr: "127.0.0.1:" + c.port, Username: "default", Password: "writer", DialerRetries: 1})
	t.Cleanup(func() { c.admin.Close() })
	c.start(t)
	return c
}

func (c *cacheServer) start(t *testing.T) {
	t.Helper()
	conf := fmt.Sprintf("bind 127.0.0.1\nport %s\ndir %s\nsave \"\"\n"+
		"user default on >writer ~* &* +@all\nuser reader on >reader ~* &* +@read +@connection +info\n", c.port, c.dir)
	if err := os.WriteFile(filepath.Join(c.dir, "redis.conf"), []byte(conf), 0o644); err != nil {
		t.Fatal(err)
	}
	c.server = start(t, nil, need.Tool(t, "redis-server"), filepath.Join(c.dir, "redis.conf"))
	await(t, c.server, func(ctx context.Context) error { return c.admin.Ping(ctx).Err() })
}

// must runs a command as the administrator.
func (c *cacheServer) must(t *testing.T, args ...any) {
	t.Helper()
	if err := c.admin.Do(t.Context(), args...).Err(); err != nil {
		t.Fatalf("redis %v: %v", args, err)
	}
}

// keys lists what is in the cache.
func (c *cacheServer) keys(t *testing.T) []string {
	t.Helper()
	keys, err := c.admin.Keys(t.Context(), "*").Result()
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// app is a sample app that runs.
type app struct {
	*server
	url string
}

// startApp builds and runs the app in a folder, schema and all.
func startApp(t *testing.T, program string, env ...string) *app {
	t.Helper()
	port := freePort(t)
	env = append(env, "PORT="+port)
	release := unprivileged(exec.Command(program, "migrate"))
	release.Env, release.Dir = env, "/"
	if out, err := release.CombinedOutput(); err != nil {
		t.Fatalf("migrate: %v\n%s", err, out)
	}
	a := &app{start(t, env, program), "http://127.0.0.1:" + port}
	await(t, a.server, func(context.Context) error {
		conn, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err == nil {
			err = conn.Close()
		}
		return err
	})
	return a
}

// buildGo returns the program of sample-app/go.
func buildGo(t *testing.T) string {
	t.Helper()
	program := filepath.Join(dir(t), "app")
	cmd := exec.Command(need.Tool(t, "go"), "build", "-buildvcs=false", "-o", program, ".")
	cmd.Dir = "../go"
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building sample-app/go: %v\n%s", err, out)
	}
	if err := os.Chmod(program, 0o755); err != nil {
		t.Fatal(err)
	}
	return program
}

func lines(text string) []string { return strings.Split(strings.TrimSpace(text), "\n") }
