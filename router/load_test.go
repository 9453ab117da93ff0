package router

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"niwa/router/route"
)

// clients keep that many keep-alive connections busy with requests until
// stop, or until the router ends them, and count the good answers. A request
// whose connection ended before the first byte of an answer is no answer;
// anything else that goes wrong fails the test.
func clients(t *testing.T, h *harness, n int, stop <-chan struct{}) (answered *atomic.Int64, done *sync.WaitGroup) {
	answered, done = new(atomic.Int64), new(sync.WaitGroup)
	for range n {
		c := h.dial(t)
		done.Go(func() {
			in := bufio.NewReader(c)
			for {
				select {
				case <-stop:
					return
				default:
				}
				c.SetDeadline(time.Now().Add(patience))
				if _, err := io.WriteString(c, "POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 5\r\n\r\nhello"); err != nil {
					return
				}
				if _, err := in.Peek(1); err != nil {
					return
				}
				resp, body, err := answerOn(in)
				if err != nil || resp.StatusCode != 200 || body != "hello" {
					t.Errorf("an answer went wrong: %v, %q, %v", resp, body, err)
					return
				}
				answered.Add(1)
				if resp.Close {
					return
				}
			}
		})
	}
	return answered, done
}

func waitFor(t testing.TB, what string, reached func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !reached(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("timed out waiting until %s", what)
		}
	}
}

func TestADrainUnderLoadLosesNoRequest(t *testing.T) {
	t.Parallel()
	var taken atomic.Int64
	h := start(t, serving(httpDyno(t, func(w http.ResponseWriter, r *http.Request) {
		taken.Add(1)
		time.Sleep(time.Millisecond) // so that there is always something in flight
		io.Copy(w, r.Body)
	})), Timeouts{})
	answered, done := clients(t, h, 40, nil)
	waitFor(t, "the load is on", func() bool { return answered.Load() > 500 })
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := h.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	done.Wait()
	if taken.Load() != answered.Load() || int64(len(h.logs)) != taken.Load() {
		t.Errorf("dynos took %d requests, clients got %d answers, %d lines were logged", taken.Load(), answered.Load(), len(h.logs))
	}
	if _, err := net.Dial("tcp", h.addr); err == nil {
		t.Error("the router still accepts")
	}
}

func TestATableSwapUnderLoadLosesNoRequest(t *testing.T) {
	t.Parallel()
	var apps []route.App
	for range 4 {
		apps = append(apps, serving(httpDyno(t, ok), httpDyno(t, ok)))
	}
	apps = append(apps, route.App{State: route.Starting})
	h := start(t, apps[0], Timeouts{})
	stop := make(chan struct{})
	answered, done := clients(t, h, 20, stop)
	for i := range 100 {
		before := answered.Load()
		app := apps[i%len(apps)]
		h.swap(t, app)
		if app.State == route.Serving {
			waitFor(t, "requests go to the new dynos", func() bool { return answered.Load() > before+20 || t.Failed() })
		}
	}
	close(stop)
	h.swap(t, apps[0])
	done.Wait()
	for range len(h.logs) {
		if line := h.line(t); !strings.Contains(line, " status=200 ") {
			t.Errorf("logged %s", line)
		}
	}
}

func TestTLSAndHTTP2EndAtTheRouter(t *testing.T) {
	t.Parallel()
	certified := certified(t)
	heads := make(chan string, 2)
	h := startTLS(t, serving(rawDyno(t, func(c net.Conn, in *bufio.Reader) {
		heads <- readHead(in)
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi")
	})), Timeouts{}, &tls.Config{Certificates: certified.TLS.Certificates})
	for _, c := range []struct {
		h2                 bool
		protocol, via, log string
	}{
		{false, "HTTP/1.1", "1.1 heroku-router", "protocol=http1.1 tls=true tls_version=tls1.3"},
		{true, "HTTP/2.0", "2.0 heroku-router", "protocol=http2.0 tls=true tls_version=tls1.3"},
	} {
		transport := certified.Client().Transport.(*http.Transport).Clone()
		transport.ForceAttemptHTTP2 = c.h2
		transport.TLSClientConfig.ServerName = "example.com"
		if !c.h2 {
			transport.TLSClientConfig.NextProtos = []string{"http/1.1"}
		}
		defer transport.CloseIdleConnections()
		r, err := http.NewRequest("GET", "https://"+h.addr+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = "app.test"
		r.Header.Set("X-Request-Id", testID)
		resp, err := (&http.Client{Transport: transport, Timeout: patience}).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || string(body) != "hi" || resp.Proto != c.protocol || resp.Header.Get("Via") != c.via {
			t.Errorf("got %v, %q, %v", resp, body, err)
		}
		head := <-heads
		if !strings.Contains(head, "X-Forwarded-Proto: https\r\n") || !strings.Contains(head, "Via: "+c.via+"\r\n") || !strings.HasPrefix(head, "GET / HTTP/1.1\r\nHost: app.test\r\n") {
			t.Errorf("the dyno got %q", head)
		}
		if line := h.line(t); !strings.HasSuffix(line, " status=200 bytes=59 "+c.log) {
			t.Errorf("logged %s", line)
		}
	}
}

func TestAnHTTP2StreamThatIsResetIsH27(t *testing.T) {
	t.Parallel()
	certified := certified(t)
	arrived := make(chan struct{})
	h := startTLS(t, serving(rawDyno(t, func(c net.Conn, in *bufio.Reader) {
		readHead(in)
		close(arrived)
		io.Copy(io.Discard, in)
	})), Timeouts{}, &tls.Config{Certificates: certified.TLS.Certificates})
	transport := certified.Client().Transport.(*http.Transport).Clone()
	transport.ForceAttemptHTTP2 = true
	transport.TLSClientConfig.ServerName = "example.com"
	defer transport.CloseIdleConnections()
	ctx, cancel := context.WithCancel(context.Background())
	// The body never ends: both directions are open when the stream is reset.
	body, keepOpen := io.Pipe()
	defer keepOpen.Close()
	r, err := http.NewRequestWithContext(ctx, "POST", "https://"+h.addr+"/", body)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = "app.test"
	go func() {
		<-arrived
		cancel()
	}()
	if _, err := transport.RoundTrip(r); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if line := h.line(t); !strings.HasPrefix(line, "sock=client at=warning code=H27 ") {
		t.Errorf("logged %s", line)
	}
}
