package api

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"niwa/platform"
)

func TestOutputComesWhileItIsBeingWritten(t *testing.T) {
	t.Parallel()
	s := open(t)
	s.app("garden")
	s.deploy("garden", map[string]string{"web": "serve", "release": "say migrating"})
	r := s.do("GET", "/apps/garden/releases/2", nil).want(200)
	req, err := http.NewRequestWithContext(t.Context(), "GET", r.text("output_stream_url"), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	watchdog := time.AfterFunc(20*time.Second, func() { resp.Body.Close() })
	defer watchdog.Stop()
	in := bufio.NewScanner(resp.Body)
	if !in.Scan() || in.Text() != "migrating" {
		t.Fatalf("output: %q %v", in.Text(), in.Err())
	}
	if status := s.do("GET", "/apps/garden/releases/2", nil).want(200).text("status"); status != platform.Pending {
		t.Errorf("the release phase is over already: %s", status)
	}
	s.do("DELETE", "/apps/garden", nil).want(200)
	for in.Scan() {
	}
	if err := in.Err(); err != nil {
		t.Errorf("the stream broke off with the app: %v", err)
	}
}

// TestAClientThatDoesNotReadDoesNotHoldShutdownUp leaves the end to open's
// cleanup, which gives Shutdown its time.
func TestAClientThatDoesNotReadDoesNotHoldShutdownUp(t *testing.T) {
	t.Parallel()
	s := open(t)
	id := s.app("garden").text("id")
	url := s.session("garden", map[string]any{"tail": true, "lines": 1500})
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.(*net.TCPConn).SetReadBuffer(4096); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n", strings.TrimPrefix(url, s.url))
	line := strings.Repeat("x", 8000)
	for range 3000 {
		s.logs.Log(id, "app", "web.1", line)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*drainTimeout)
	defer cancel()
	if err := s.api.Shutdown(ctx); err != nil {
		t.Errorf("shutting down: %v", err)
	}
}

func TestWhoComesOverTlsIsSentToTls(t *testing.T) {
	t.Parallel()
	s := open(t)
	s.app("garden")
	server := httptest.NewTLSServer(http.NotFoundHandler()) // for its certificate
	defer server.Close()
	ln := tls.NewListener(listen(t), &tls.Config{Certificates: server.TLS.Certificates})
	cfg := s.api.Config
	cfg.SecureURL = "https://" + ln.Addr().String()
	a := New(cfg)
	served := make(chan error, 1)
	go func() { served <- a.Serve(ln) }()
	req, err := http.NewRequestWithContext(t.Context(), "POST", cfg.SecureURL+"/apps/garden/log-sessions", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.token)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	defer client.CloseIdleConnections()
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body := new(strings.Builder)
	if _, err := bufio.NewReader(resp.Body).WriteTo(body); err != nil || !strings.Contains(body.String(), `"logplex_url":"`+cfg.SecureURL+"/streams/logs/") {
		t.Errorf("%s %v", body, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := a.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}
