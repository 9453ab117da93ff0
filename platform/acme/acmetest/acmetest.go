// Package acmetest runs Pebble, Let's Encrypt's own server for tests, as the
// certificate authority of a test, with a DNS in which every name leads to
// this machine.
package acmetest

import (
	"crypto/tls"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"niwa/platform/pki"
	"niwa/platform/platformtest/need"
)

// Authority is a Pebble that runs.
type Authority struct {
	Directory string // its URL
	Roots     string // file of the certificate that vouches for its server
}

// Blocked is a domain for which it issues nothing.
const Blocked = "blocked.example.test"

// Start starts an authority that looks for domains at a port of this machine.
// It ends with the test.
func Start(t *testing.T, tlsPort int) Authority {
	t.Helper()
	pebble, dns := need.Tool(t, "pebble"), need.Tool(t, "pebble-challtestsrv")
	dir := t.TempDir()
	ca, err := pki.Open(filepath.Join(dir, "ca"))
	if err != nil {
		t.Fatal(err)
	}
	cert, key, err := ca.WriteLeaf(dir, "127.0.0.1", "localhost")
	if err != nil {
		t.Fatal(err)
	}
	names, manage, listen := free(t), free(t), free(t)
	config, err := json.Marshal(map[string]any{"pebble": map[string]any{
		"listenAddress": listen, "certificate": cert, "privateKey": key, "tlsPort": tlsPort, "httpPort": 1,
		"domainBlocklist": []string{Blocked}, "retryAfter": map[string]int{"authz": 1, "order": 1},
		"keyAlgorithm": "ecdsa", "profiles": map[string]any{"default": map[string]any{"description": "90 days", "validityPeriod": 7776000}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "pebble.json")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, dns, "-dnsserver", names, "-management", manage, "-defaultIPv4", "127.0.0.1", "-defaultIPv6", "", "-http01", "", "-https01", "", "-tlsalpn01", "", "-doh", "")
	run(t, pebble, "-config", file, "-dnsserver", names, "-strict")
	a := Authority{Directory: "https://" + listen + "/dir", Roots: ca.CertFile()}
	a.await(t)
	return a
}

func run(t *testing.T, program string, args ...string) {
	t.Helper()
	cmd := exec.Command(program, args...)
	said := filepath.Join(t.TempDir(), "said")
	out, err := os.Create(said)
	if err != nil {
		t.Fatal(err)
	}
	// It neither waits before it looks, nor looks twice.
	cmd.Env = append(os.Environ(), "PEBBLE_VA_NOSLEEP=1", "PEBBLE_AUTHZREUSE=0")
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		out.Close()
		if text, err := os.ReadFile(said); t.Failed() && err == nil {
			t.Logf("%s said:\n%s", filepath.Base(program), text)
		}
	})
}

// await waits until it answers.
func (a Authority) await(t *testing.T) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}}
	deadline := time.Now().Add(20 * time.Second)
	for {
		resp, err := client.Get(a.Directory)
		if err == nil {
			resp.Body.Close()
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// free is an address of loopback that nobody listens at now.
func free(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// Port is the port of an address.
func Port(t *testing.T, addr string) int {
	t.Helper()
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
