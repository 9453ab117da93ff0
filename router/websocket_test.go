package router

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/coder/websocket"

	"niwa/router/route"
)

// echoing is a dyno that sends every message back, and closes as it is told.
func echoing(t *testing.T) route.Dyno {
	return httpDyno(t, func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
		if err != nil {
			t.Error(err)
			return
		}
		c.SetReadLimit(-1)
		for {
			kind, in, err := c.Reader(r.Context())
			if code := websocket.CloseStatus(err); code != -1 {
				c.Close(code, "as you say")
				return
			}
			if err != nil {
				return
			}
			out, err := c.Writer(r.Context(), kind)
			if err != nil {
				return
			}
			if _, err := io.Copy(out, in); err != nil {
				return
			}
			if out.Close() != nil {
				return
			}
		}
	})
}

// dialWebSocket connects through the router.
func dialWebSocket(t *testing.T, url string, client *http.Client) *websocket.Conn {
	t.Helper()
	c, _, err := websocket.Dial(t.Context(), url, &websocket.DialOptions{HTTPClient: client, Host: "app.test"})
	if err != nil {
		t.Fatal(err)
	}
	c.SetReadLimit(-1)
	t.Cleanup(func() { c.CloseNow() })
	return c
}

// TestWebSocketsGoThroughWhole has a real client and a real server speak
// through the router, in plain and over TLS: the sizes at which frames change
// their form, 16 MB, pings, and the handshake that ends it.
func TestWebSocketsGoThroughWhole(t *testing.T) {
	t.Parallel()
	certified := certified(t)
	for _, scheme := range []string{"ws", "wss"} {
		t.Run(scheme, func(t *testing.T) {
			var config *tls.Config
			client := http.DefaultClient
			if scheme == "wss" {
				config = &tls.Config{Certificates: certified.TLS.Certificates}
				client = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
			}
			h := startTLS(t, serving(echoing(t)), Timeouts{}, config)
			c := dialWebSocket(t, scheme+"://"+h.addr+"/", client)
			for _, size := range []int{0, 1, 125, 126, 127, 65535, 65536, 16 << 20} {
				echoed(t, c, size)
			}
			pinged(t, c)
			if err := c.Close(websocket.StatusCode(4321), "bye"); err != nil {
				t.Errorf("the closing handshake: %v", err)
			}
		})
	}
}

func echoed(t *testing.T, c *websocket.Conn, size int) {
	t.Helper()
	sent := make([]byte, size)
	rand.Read(sent)
	wrote := make(chan error, 1)
	go func() { wrote <- c.Write(t.Context(), websocket.MessageBinary, sent) }()
	kind, got, err := c.Read(t.Context())
	if err = errors.Join(err, <-wrote); err != nil || kind != websocket.MessageBinary || !bytes.Equal(got, sent) {
		t.Fatalf("of %d bytes %d came back, %v", size, len(got), err)
	}
}

// pinged has the other end, which is always reading, answer a ping.
func pinged(t *testing.T, c *websocket.Conn) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	go c.Read(ctx) // takes the pong
	if err := c.Ping(ctx); err != nil {
		t.Errorf("ping: %v", err)
	}
}

// TestPingsKeepAWebSocketOpen is what Heroku tells its users to do against H15.
func TestPingsKeepAWebSocketOpen(t *testing.T) {
	t.Parallel()
	const idle = time.Second
	h := start(t, serving(echoing(t)), Timeouts{Idle: idle})
	c := dialWebSocket(t, "ws://"+h.addr+"/", http.DefaultClient)
	go c.Read(t.Context())
	for began := time.Now(); time.Since(began) < 5*idle/2; time.Sleep(idle / 10) {
		if err := c.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}
