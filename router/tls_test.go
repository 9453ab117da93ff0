package router

import (
	"bufio"
	"crypto/tls"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"niwa/platform/pki"
)

// byName is a TLS listener's configuration as the platform's is: a certificate
// for each name, that of shared.test being for app.test as well.
func byName(t *testing.T) *tls.Config {
	t.Helper()
	ca, err := pki.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	shared, err := ca.Leaf("shared.test", "*.test")
	if err != nil {
		t.Fatal(err)
	}
	own := ca.ServerConfig(func(string) bool { return true })
	return &tls.Config{GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		if hello.ServerName == "shared.test" {
			return shared, nil
		}
		return own.GetCertificate(hello)
	}}
}

func TestARequestOverAConnectionToAnotherHostIsH32(t *testing.T) {
	t.Parallel()
	h := startTLS(t, serving(says(t, answering())), Timeouts{}, byName(t))
	for _, test := range []struct {
		server, host string
		status       int
	}{
		{"app.test", "app.test", 200},
		{"app.test", "APP.test:8443", 200},
		{"", "app.test", 200}, // an address, which TLS does not say
		{"shared.test", "app.test", 200},
		{"other.example", "app.test", 495},
		{"localhost", "app.test", 495},
	} {
		for _, protocol := range []string{"http/1.1", "h2"} {
			transport := &http.Transport{ForceAttemptHTTP2: protocol == "h2", TLSClientConfig: &tls.Config{ServerName: test.server, NextProtos: []string{protocol}, InsecureSkipVerify: true}}
			r, err := http.NewRequest("GET", "https://"+h.addr+"/", nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Host = test.host
			r.Header.Set("X-Request-Id", testID)
			resp, err := (&http.Client{Transport: transport, Timeout: patience}).Do(r)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			transport.CloseIdleConnections()
			if resp.StatusCode != test.status || resp.ProtoMajor != map[string]int{"http/1.1": 1, "h2": 2}[protocol] {
				t.Errorf("%s over a connection to %q: %s %s, want %d", test.host, test.server, resp.Proto, resp.Status, test.status)
			}
			want := "at=info "
			if test.status == 495 {
				want = `at=error code=H32 desc="TLS Certificate Mismatch" method=GET path="/" host=app.test request_id=` + testID + ` fwd=127.0.0.1` + nobody + `495 bytes= protocol=`
			}
			if line := h.line(t); !strings.HasPrefix(line, want) {
				t.Errorf("%s over a connection to %q is logged as\n%s\nwant\n%s", test.host, test.server, line, want)
			}
		}
	}
}

// HTTP/2 is spoken with who has agreed on it in TLS, and with nobody else.
func TestHTTP2WithoutAgreementIsRefused(t *testing.T) {
	t.Parallel()
	d, made, _ := counting(t, ok)
	plain, secure := start(t, serving(d), Timeouts{}), startTLS(t, serving(d), Timeouts{}, byName(t))
	for name, dial := range map[string]func() (net.Conn, error){
		"in plain": func() (net.Conn, error) { return net.Dial("tcp", plain.addr) },
		"over TLS": func() (net.Conn, error) {
			return tls.Dial("tcp", secure.addr, &tls.Config{ServerName: "app.test", InsecureSkipVerify: true})
		},
	} {
		c, err := dial()
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")); err != nil {
			t.Fatal(err)
		}
		in := bufio.NewReader(c)
		if resp, err := http.ReadResponse(in, nil); err != nil || resp.StatusCode != http.StatusHTTPVersionNotSupported {
			t.Errorf("%s: %v, %v", name, resp, err)
		}
	}
	if made.Load() != 0 {
		t.Errorf("%d dynos were asked", made.Load())
	}
}
