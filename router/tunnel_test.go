package router

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

const (
	switching = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n"
	line101   = `at=info ` + request + webOne + `101 bytes=`
)

func upgrade() string {
	return get("/", "Connection: keep-alive, Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: x")
}

// echo is a dyno that switches, greets in the same packet and sends back all it gets.
func echo(heads chan<- string) func(net.Conn, *bufio.Reader) {
	return func(c net.Conn, in *bufio.Reader) {
		heads <- readHead(in)
		io.WriteString(c, switching+"hi")
		io.Copy(c, in)
	}
}

func TestATunnelCarriesEveryByteBothWays(t *testing.T) {
	t.Parallel()
	heads := make(chan string, 1)
	h := start(t, serving(rawDyno(t, echo(heads))), Timeouts{})
	c := h.dial(t)
	in := bufio.NewReader(c)
	sent := make([]byte, 4<<20)
	rand.Read(sent)
	go func() {
		// The first bytes come with the request.
		c.Write(append([]byte(upgrade()), sent...))
		c.(*net.TCPConn).CloseWrite()
	}()
	want := "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nSec-Websocket-Accept: x\r\nServer: Heroku\r\nVia: 1.1 heroku-router\r\nConnection: Upgrade\r\n\r\n"
	if got := readHead(in); got != want {
		t.Fatalf("got %q, want %q", got, want)
	}
	got, err := io.ReadAll(in)
	if err != nil || !bytes.Equal(got, append([]byte("hi"), sent...)) {
		t.Errorf("%d bytes came back of %d, %v", len(got), len(sent), err)
	}
	if head := <-heads; !strings.Contains(head, "\r\nConnection: Upgrade\r\n") || !strings.Contains(head, "\r\nUpgrade: websocket\r\n") {
		t.Errorf("the dyno got %q", head)
	}
	if got := h.line(t); !strings.HasPrefix(got, line101) {
		t.Errorf("logged %s", got)
	}
}

func TestATunnelThatIsIdleIsH15(t *testing.T) {
	t.Parallel()
	const idle = 200 * time.Millisecond
	h := start(t, serving(rawDyno(t, func(c net.Conn, in *bufio.Reader) {
		readHead(in)
		io.WriteString(c, switching)
		io.Copy(io.Discard, in)
	})), Timeouts{Idle: idle})
	c := h.dial(t)
	in := bufio.NewReader(c)
	io.WriteString(c, upgrade())
	readHead(in)
	began := time.Now()
	// Bytes of one side alone keep the line open, well past the limit.
	for time.Since(began) < 2*idle {
		if _, err := io.WriteString(c, "ping"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(idle / 8)
	}
	if _, err := in.ReadByte(); err != io.EOF {
		t.Errorf("the client's side ended with %v", err)
	}
	if alive := time.Since(began); alive < 2*idle {
		t.Errorf("the line was cut after %v", alive)
	}
	if got := h.line(t); !strings.HasPrefix(got, `at=error code=H15 desc="Idle connection" `+request+webOne+`503 bytes=102 `) {
		t.Errorf("logged %s", got)
	}
}

func TestADynoThatRefusesToSwitchAnswersAsUsual(t *testing.T) {
	t.Parallel()
	h := start(t, serving(says(t, "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")), Timeouts{})
	resp, body, err := h.ask(t, upgrade())
	if err != nil || resp.StatusCode != 403 || body != "no" {
		t.Errorf("got %v, %q, %v", resp, body, err)
	}
}

func TestEitherSideEndsATunnel(t *testing.T) {
	t.Parallel()
	t.Run("the client", func(t *testing.T) {
		t.Parallel()
		ended := make(chan struct{})
		h := start(t, serving(rawDyno(t, func(c net.Conn, in *bufio.Reader) {
			readHead(in)
			io.WriteString(c, switching)
			io.Copy(io.Discard, in)
			close(ended)
		})), Timeouts{})
		c := h.dial(t)
		io.WriteString(c, upgrade())
		readHead(bufio.NewReader(c))
		c.Close()
		wait(t, ended, "the dyno learns of it")
		if got := h.line(t); !strings.HasPrefix(got, line101+"102 ") {
			t.Errorf("logged %s", got)
		}
	})
	t.Run("the dyno", func(t *testing.T) {
		t.Parallel()
		h := start(t, serving(says(t, switching+"bye")), Timeouts{})
		c := h.dial(t)
		io.WriteString(c, upgrade())
		all, err := io.ReadAll(c)
		if err != nil || !strings.HasSuffix(string(all), "\r\n\r\nbye") {
			t.Errorf("got %q, %v", all, err)
		}
		c.Close()
		if got := h.line(t); !strings.HasPrefix(got, line101+"105 ") {
			t.Errorf("logged %s", got)
		}
	})
}

func TestShutdownWaitsForATunnelAndThenCutsIt(t *testing.T) {
	t.Parallel()
	h := start(t, serving(rawDyno(t, echo(make(chan string, 1)))), Timeouts{})
	c := h.dial(t)
	in := bufio.NewReader(c)
	io.WriteString(c, upgrade())
	readHead(in)
	in.Discard(2)
	ctx, cancel := context.WithCancel(context.Background())
	down := make(chan error, 1)
	go func() { down <- h.Shutdown(ctx) }()
	for refused := false; !refused; { // until the listener is closed
		probe, err := net.Dial("tcp", h.addr)
		if refused = err != nil; !refused {
			probe.Close()
		}
	}
	io.WriteString(c, "still")
	if got, err := in.ReadString('l'); err != nil {
		t.Fatalf("the tunnel is dead while draining: %q, %v", got, err)
	}
	in.Discard(1)
	cancel()
	if err := <-down; err == nil {
		t.Error("Shutdown says that everything ended well")
	}
	if _, err := in.ReadByte(); err == nil {
		t.Error("the tunnel lives on")
	}
	if got := h.line(t); !strings.HasPrefix(got, "at=error code=H24 ") {
		t.Errorf("logged %s", got)
	}
}
