package router

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"niwa/platform/pki"
	"niwa/router/route"
)

func TestHTTP2IsSpokenThoughThePlainListenerCameFirst(t *testing.T) {
	ca, err := pki.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	live, err := route.Open(filepath.Join(t.TempDir(), "routes.log"))
	if err != nil {
		t.Fatal(err)
	}
	rt := New(Config{Routes: live, Log: func(string, []byte) {}, TLS: ca.ServerConfig(nil)})
	plain, secure := listenHere(t), listenHere(t)
	served := make(chan error, 2)
	go func() { served <- rt.Serve(plain) }()
	plainClient := &http.Client{Timeout: 10 * time.Second}
	if resp, err := plainClient.Get("http://" + plain.Addr().String()); err != nil {
		t.Fatal(err)
	} else {
		resp.Body.Close()
	}
	go func() { served <- rt.ServeTLS(secure) }()

	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
	}}
	resp, err := client.Get("https://" + secure.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.ProtoMajor != 2 || resp.StatusCode != http.StatusNotFound {
		t.Errorf("got %s %s, %v", resp.Proto, resp.Status, err)
	}
	client.CloseIdleConnections()
	plainClient.CloseIdleConnections()
	if err := rt.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	for range 2 {
		if err := <-served; err != nil {
			t.Error(err)
		}
	}
}

func listenHere(t *testing.T) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return ln
}
