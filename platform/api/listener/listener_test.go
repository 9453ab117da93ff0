package listener

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gofiber/fiber/v2"

	"niwa/platform/pki"
)

// serve runs a server behind a listener; it answers "secure" or "plain", the
// Host it was asked for and the body it was sent.
func serve(t *testing.T) (addr string, roots *x509.CertPool) {
	t.Helper()
	ca, err := pki.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	pem, err := os.ReadFile(ca.CertFile())
	if err != nil {
		t.Fatal(err)
	}
	roots = x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	web := fiber.New(fiber.Config{DisableStartupMessage: true, StreamRequestBody: true})
	web.Use(func(c *fiber.Ctx) error {
		kind := "plain"
		if c.Context().IsTLS() {
			kind = "secure"
		}
		return c.SendString(kind + " " + c.Hostname() + " " + string(c.Body()))
	})
	served := make(chan error, 1)
	go func() {
		served <- web.Listener(New(ln, ca.ServerConfig(func(name string) bool { return strings.HasSuffix(strings.ToLower(name), ".heroku.com") })))
	}()
	t.Cleanup(func() {
		if err := web.ShutdownWithTimeout(10 * time.Second); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return ln.Addr().String(), roots
}

func TestOnePortSpeaksAllThree(t *testing.T) {
	addr, roots := serve(t)
	_, port, _ := net.SplitHostPort(addr)
	for name, c := range map[string]struct {
		url   string
		proxy bool
		want  string
	}{
		"plain HTTP":                        {"http://" + addr, false, "plain " + addr},
		"TLS":                               {"https://" + addr, false, "secure " + addr},
		"TLS in a tunnel":                   {"https://kolkrabbi.heroku.com", true, "secure kolkrabbi.heroku.com"},
		"TLS in a tunnel to itself":         {"https://localhost:" + port, true, "secure localhost:" + port},
		"an upper-case host":                {"https://API.Heroku.COM", true, "secure API.Heroku.COM"},
		"a plain request through the proxy": {"http://particleboard.heroku.com:" + port, true, "plain particleboard.heroku.com:" + port},
	} {
		t.Run(name, func(t *testing.T) {
			transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
			if c.proxy {
				transport.Proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: addr})
			}
			defer transport.CloseIdleConnections()
			client := &http.Client{Transport: transport, Timeout: 20 * time.Second}
			for _, body := range []string{"", strings.Repeat("x", 100_000)} { // twice: the connection stays
				answer, err := client.Post(c.url, "text/plain", strings.NewReader(body))
				if err != nil {
					t.Fatal(err)
				}
				got, err := io.ReadAll(answer.Body)
				answer.Body.Close()
				if want := c.want + " " + body; err != nil || !strings.EqualFold(string(got), want) {
					t.Errorf("got %.60q, %v, want %.60q", got, err, want)
				}
			}
		})
	}
}

// A tunnel that carries plain HTTP is how the CLI's http-call uses a proxy.
func TestATunnelMayCarryPlainHTTP(t *testing.T) {
	addr, _ := serve(t)
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	r := bufio.NewReader(conn)
	fmt.Fprintf(conn, "CONNECT telex.heroku.com:80 HTTP/1.1\r\nHost: telex.heroku.com:80\r\nConnection: close\r\n\r\n")
	answer, err := http.ReadResponse(r, &http.Request{Method: "CONNECT"})
	if err != nil || answer.Status != "200 Connection Established" {
		t.Fatalf("%v, %v", answer, err)
	}
	fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: telex.heroku.com\r\n\r\n")
	answer, err = http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(answer.Body); err != nil || string(got) != "plain telex.heroku.com " {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestConnectIsRefusedWithAReason(t *testing.T) {
	addr, _ := serve(t)
	for name, c := range map[string]struct {
		head   string
		status int
		reason string
	}{
		"another host":           {"CONNECT example.com:443 HTTP/1.1\r\n\r\n", 403, `not for "example.com"`},
		"a host that looks like": {"CONNECT evilheroku.com:443 HTTP/1.1\r\n\r\n", 403, "evilheroku.com"},
		"a host with ours in it": {"CONNECT heroku.com.example.com:443 HTTP/1.1\r\n\r\n", 403, "example.com"},
		"no port":                {"CONNECT heroku.com HTTP/1.1\r\n\r\n", 400, "needs host:port"},
		"a port of none":         {"CONNECT heroku.com:0 HTTP/1.1\r\n\r\n", 400, "port"},
		"too high a port":        {"CONNECT heroku.com:65536 HTTP/1.1\r\n\r\n", 400, "port"},
		"no host":                {"CONNECT :443 HTTP/1.1\r\n\r\n", 400, "needs host:port"},
		"another protocol":       {"CONNECT heroku.com:443 SPDY/3\r\n\r\n", 400, "not a CONNECT"},
		"too many words":         {"CONNECT heroku.com:443 x HTTP/1.1\r\n\r\n", 400, "not a CONNECT"},
		"a long line":            {"CONNECT " + strings.Repeat("a", 5000) + ":443 HTTP/1.1\r\n\r\n", 431, "shorter"},
		"a long head":            {"CONNECT heroku.com:443 HTTP/1.1\r\n" + strings.Repeat("A: b\r\n", 1000) + "\r\n", 431, "shorter"},
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(20 * time.Second))
			// What is too long is not read to its end.
			io.WriteString(conn, c.head[:min(len(c.head), maxHead+20)])
			answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(answer.Body)
			if err != nil || answer.StatusCode != c.status || !strings.Contains(string(body), c.reason) {
				t.Errorf("%s: %q, %v", answer.Status, body, err)
			}
		})
	}
}

func TestGarbageHarmsNobody(t *testing.T) {
	addr, _ := serve(t)
	for _, garbage := range []string{"\x16", "\x16\x03\x01\xff\xff", "\x16\x03\x01\x00\x05hello", "\x00\x00\x00", "C", "CONNECT", "CONNECT ", "CONNECT x", "CONNECTED / HTTP/1.1\r\n\r\n", "\r\n\r\n", "COPY / HTTP/1.1\r\n\r\n"} {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(conn, garbage)
		conn.Close()
	}
	answer, err := http.Get("http://" + addr)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != 200 {
		t.Error(answer.Status)
	}
}

// port is a network of one address inside the process, for tests in which
// time is not real.
type port struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newPort() *port { return &port{conns: make(chan net.Conn), done: make(chan struct{})} }

func (p *port) Accept() (net.Conn, error) {
	select {
	case conn := <-p.conns:
		return conn, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *port) Close() error   { p.once.Do(func() { close(p.done) }); return nil }
func (p *port) Addr() net.Addr { return &net.TCPAddr{} }

func (p *port) dial() net.Conn {
	client, server := net.Pipe()
	p.conns <- server
	return client
}

// cut says whether the other side has closed the connection.
func cut(conn net.Conn) bool {
	conn.SetReadDeadline(time.Now().Add(time.Millisecond))
	_, err := conn.Read(make([]byte, 1))
	return errors.Is(err, io.EOF)
}

func TestASlowClientHoldsUpNobodyAndIsCutOff(t *testing.T) {
	for name, sent := range map[string]string{
		"nothing":             "",
		"a byte of TLS":       "\x16",
		"a byte of CONNECT":   "C",
		"half a CONNECT":      "CONNECT heroku.com:443 HTTP/1.1\r\nHost: ",
		"most of a handshake": "\x16\x03\x01\x02\x00\x01",
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPort()
				l := New(p, &tls.Config{})
				slow := p.dial()
				io.WriteString(slow, sent)

				quick := p.dial()
				go io.WriteString(quick, "GET / HTTP/1.1\r\n")
				began := time.Now()
				conn, err := l.Accept()
				if err != nil || time.Since(began) != 0 {
					t.Errorf("accepted after %v, %v", time.Since(began), err)
				}
				defer conn.Close()

				time.Sleep(patience - 2*time.Millisecond)
				if cut(slow) {
					t.Error("cut off early")
				}
				time.Sleep(2 * time.Millisecond)
				synctest.Wait()
				if !cut(slow) {
					t.Error("not cut off")
				}
				l.Close()
			})
		})
	}
}

func TestAnAcceptedConnectionHasNoDeadlineLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPort()
		l := New(p, &tls.Config{})
		client := p.dial()
		go func() {
			io.WriteString(client, "G")
			time.Sleep(time.Hour)
			io.WriteString(client, "ET")
		}()
		conn, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 3)
		if _, err := io.ReadFull(conn, got); err != nil || string(got) != "GET" {
			t.Errorf("%q, %v", got, err)
		}
		conn.Close()
		l.Close()
	})
}

func TestTheOldestOfTooManyWaitingIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPort()
		l := New(p, &tls.Config{})
		var clients []net.Conn
		for range maxWaiting {
			clients = append(clients, p.dial())
			synctest.Wait()
		}
		if cut(clients[0]) {
			t.Error("cut off with room left")
		}
		clients = append(clients, p.dial())
		synctest.Wait()
		if !cut(clients[0]) || cut(clients[1]) || cut(clients[maxWaiting]) {
			t.Error("not the oldest was cut off")
		}
		go io.WriteString(clients[maxWaiting], "GET")
		if _, err := l.Accept(); err != nil {
			t.Error(err)
		}
		l.Close()
	})
}

func TestCloseEndsWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPort()
		l := New(p, &tls.Config{})
		silent, unclaimed := p.dial(), p.dial()
		io.WriteString(unclaimed, "G") // ready, and nobody accepts it
		synctest.Wait()
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if !cut(silent) || !cut(unclaimed) {
			t.Error("still open")
		}
		if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept: %v", err)
		}
		if err := l.Close(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("a second Close: %v", err)
		}
	})
}

func FuzzConnectRequests(f *testing.F) {
	f.Add("CONNECT heroku.com:443 HTTP/1.1\r\nHost: heroku.com\r\n\r\n")
	f.Add("CONNECT [::1]:443 HTTP/1.0\n\n")
	f.Add("CONNECT api.heroku.com.:1 HTTP/1.1\r\n\r\nrest")
	f.Add("CONNECT \x00:443 HTTP/1.1\r\n\r\n")
	f.Fuzz(func(t *testing.T, sent string) {
		client, server := net.Pipe()
		defer server.Close()
		go func() {
			io.WriteString(client, sent)
			client.Close()
		}()
		p, err := look(server)
		if err != nil {
			return
		}
		if tunnel, err := p.begins("CONNECT "); err != nil || !tunnel {
			return
		}
		err = p.readConnect()
		line, _, _ := strings.Cut(sent, "\n")
		if err != nil {
			return
		}
		host, err := parseConnect(strings.TrimRight(line, "\r"))
		if err != nil || !ours(host) {
			t.Fatalf("let through %q", line)
		}
	})
}
