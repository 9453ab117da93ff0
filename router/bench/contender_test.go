package bench

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"niwa/addons/engine"
	"niwa/platform/pki"
	"niwa/platform/platformtest/need"
	"niwa/router"
	"niwa/router/route"
)

// contender is a proxy that runs.
type contender struct {
	name       string
	plain, tls string // where it listens
	pids       []int  // whose CPU counts
}

// cores is how many each may use.
const cores = 2

// free is an address that nobody listens on.
func free(t testing.TB) string {
	t.Helper()
	port, err := engine.FreePort("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", port)
}

// run starts a program and ends it with the test. pids are its own and its
// children's.
func run(t testing.TB, addr string, env []string, name string, args ...string) []int {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(os.Interrupt)
		for _, pid := range append(children(cmd.Process.Pid), cmd.Process.Pid) {
			if p, err := os.FindProcess(pid); err == nil {
				p.Kill()
			}
		}
		cmd.Wait()
	})
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if c, err := net.Dial("tcp", addr); err == nil {
			c.Close()
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not listen on %s", name, addr)
		}
	}
	return append(children(cmd.Process.Pid), cmd.Process.Pid)
}

func children(pid int) []int {
	var all []int
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, task := range tasks {
		data, _ := os.ReadFile(task)
		for _, field := range strings.Fields(string(data)) {
			if child, err := strconv.Atoi(field); err == nil {
				all = append(append(all, child), children(child)...)
			}
		}
	}
	return all
}

// backend is an nginx that answers /1k and /1m from the page cache, as two dynos.
func backend(t testing.TB, dir string) []string {
	t.Helper()
	addrs := []string{free(t), free(t)}
	files := filepath.Join(dir, "files")
	write(t, filepath.Join(files, "1k"), strings.Repeat("k", 1<<10))
	write(t, filepath.Join(files, "1m"), strings.Repeat("m", 1<<20))
	nginx(t, dir, "backend", addrs[0], fmt.Sprintf(`
  access_log off;
  keepalive_requests 1000000000;
  open_file_cache max=10;
  server { listen %s reuseport; listen %s reuseport; root %s; default_type text/plain; }`, addrs[0], addrs[1], files))
	return addrs
}

func nginx(t testing.TB, dir, name, addr, http string) []int {
	t.Helper()
	conf := filepath.Join(dir, name+".conf")
	write(t, conf, fmt.Sprintf(`
worker_processes %d;
daemon off;
pid %s/%s.pid;
error_log %s/%s.error;
user root;
events { worker_connections 16384; }
http {
  client_body_temp_path %[2]s/body; proxy_temp_path %[2]s/proxy; fastcgi_temp_path %[2]s/f; uwsgi_temp_path %[2]s/u; scgi_temp_path %[2]s/s;
  sendfile on; tcp_nodelay on;
%[6]s
}
`, cores, dir, name, dir, name, http))
	return run(t, addr, nil, need.Tool(t, "nginx", "/usr/sbin"), "-c", conf, "-p", dir)
}

// contenders start all that compete, before the backend.
func contenders(t testing.TB, dir string, to []string) []contender {
	t.Helper()
	pemFile := certificate(t, dir)
	return []contender{niwaRouter(t, dir, to, pemFile), nginxProxy(t, dir, to, pemFile), haproxy(t, dir, to, pemFile)}
}

func nginxProxy(t testing.TB, dir string, to []string, pemFile string) contender {
	c := contender{name: "nginx", plain: free(t), tls: free(t)}
	c.pids = nginx(t, dir, "nginx", c.plain, fmt.Sprintf(`
  log_format heroku 'at=info method=$request_method path="$request_uri" host=$host request_id=$request_id fwd=$proxy_add_x_forwarded_for dyno=web.1 connect=$upstream_connect_time service=$upstream_response_time status=$status bytes=$bytes_sent protocol=$server_protocol';
  access_log %[1]s/access.log heroku;
  keepalive_requests 1000000000;
  upstream dyno { random; server %[2]s; server %[6]s; keepalive 512; keepalive_requests 1000000000; }
  server {
    listen %[3]s reuseport; listen %[4]s reuseport ssl;
    ssl_certificate %[5]s; ssl_certificate_key %[5]s; ssl_protocols TLSv1.2 TLSv1.3;
    location / {
      proxy_pass http://dyno; proxy_http_version 1.1;
      proxy_set_header Connection ""; proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Forwarded-Port $server_port; proxy_set_header X-Request-Id $request_id;
      proxy_set_header X-Request-Start $msec; proxy_set_header Via "1.1 nginx";
    }
  }`, dir, to[0], c.plain, c.tls, pemFile, to[1]))
	return c
}

func haproxy(t testing.TB, dir string, to []string, pemFile string) contender {
	c := contender{name: "HAProxy", plain: free(t), tls: free(t)}
	conf := filepath.Join(dir, "haproxy.cfg")
	write(t, conf, fmt.Sprintf(`
global
  nbthread %d
  maxconn 5000
defaults
  mode http
  timeout connect 5s
  timeout client 55s
  timeout server 55s
  option http-keep-alive
  http-reuse always
  option forwardfor
frontend in
  bind %s
  bind %s ssl crt %s
  unique-id-format %%[uuid()]
  unique-id-header X-Request-Id
  http-request set-header X-Forwarded-Proto http
  http-request set-header X-Forwarded-Port %%[dst_port]
  http-request set-header X-Request-Start %%[date()]
  http-request add-header Via 1.1\ haproxy
  default_backend dyno
backend dyno
  balance random(1)
  server web.1 %s
  server web.2 %s
`, cores, c.plain, c.tls, pemFile, to[0], to[1]))
	c.pids = run(t, c.plain, nil, need.Tool(t, "haproxy", "/usr/sbin"), "-db", "-f", conf)
	return c
}

// niwaRouter runs this test's own program as the router: TestMain knows it by
// its environment.
func niwaRouter(t testing.TB, dir string, to []string, pemFile string) contender {
	c := contender{name: "niwa", plain: free(t), tls: free(t)}
	env := []string{"BENCH_ROUTER=" + c.plain, "BENCH_TLS=" + c.tls, "BENCH_DYNOS=" + strings.Join(to, " "), "BENCH_PEM=" + pemFile,
		"BENCH_LOG=" + filepath.Join(dir, "niwa.log"), fmt.Sprintf("GOMAXPROCS=%d", cores)}
	c.pids = run(t, c.plain, env, os.Args[0])
	return c
}

// TestMain is the router when it is started as one.
func TestMain(m *testing.M) {
	if os.Getenv("BENCH_ROUTER") != "" {
		if err := serve(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func serve() error {
	cert, err := tls.LoadX509KeyPair(os.Getenv("BENCH_PEM"), os.Getenv("BENCH_PEM"))
	if err != nil {
		return err
	}
	out, err := os.Create(os.Getenv("BENCH_LOG"))
	if err != nil {
		return err
	}
	log := newLog(out)
	var dynos []route.Dyno // two, so that 256 requests are not too many
	for i, addr := range strings.Fields(os.Getenv("BENCH_DYNOS")) {
		dynos = append(dynos, route.Dyno{Name: fmt.Sprintf("web.%d", i+1), Addr: addr})
	}
	table := route.New()
	err = table.Set(route.Entry{Hosts: []string{"app.test", "127.0.0.1"}, App: route.App{
		ID: "app", Name: "app", State: route.Serving, Dynos: dynos,
	}})
	if err != nil {
		return err
	}
	rt := router.New(router.Config{Routes: table, TLS: &tls.Config{Certificates: []tls.Certificate{cert}}, Log: log.line})
	listen := net.ListenConfig{KeepAlive: -1} // as niwa does
	plain, err := listen.Listen(context.Background(), "tcp", os.Getenv("BENCH_ROUTER"))
	if err != nil {
		return err
	}
	secure, err := listen.Listen(context.Background(), "tcp", os.Getenv("BENCH_TLS"))
	if err != nil {
		return err
	}
	go rt.ServeTLS(secure)
	return rt.Serve(plain)
}

// certificate makes a certificate, with its key in the same file.
func certificate(t testing.TB, dir string) string {
	t.Helper()
	ca, err := pki.Open(filepath.Join(dir, "ca"))
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile, err := ca.WriteLeaf(dir, "app.test")
	if err != nil {
		t.Fatal(err)
	}
	var both []byte
	for _, file := range []string{certFile, keyFile} {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		both = append(both, data...)
	}
	path := filepath.Join(dir, "app.pem")
	write(t, path, string(both))
	return path
}

func write(t testing.TB, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}
