package certs

import (
	"bytes"
	"crypto/elliptic"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"niwa/platform/pki"
)

func pair(t *testing.T, names ...string) Pair {
	t.Helper()
	s := sign(t, nil, generate(t, elliptic.P256()), server(names...))
	return Pair{chain(s), s.pem(t)}
}

// names are whose certificate a client is shown that names a host.
func names(l *Live, host string) string {
	c, ok := l.Set().Lookup(host)
	if !ok {
		return ""
	}
	return strings.Join(c.Leaf.DNSNames, " ")
}

func TestARouterAloneHasEachChangeAtTheNextHandshake(t *testing.T) {
	file := filepath.Join(t.TempDir(), "certificates")
	key := bytes.Repeat([]byte{7}, 32)
	ours, err := Open(file, key)
	if err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	theirs, err := Follow(file, key, slog.New(slog.NewTextHandler(&said, nil)))
	if err != nil {
		t.Fatal(err)
	}
	both := func(host, want string) {
		t.Helper()
		for which, l := range map[string]*Live{"the platform": ours, "a router alone": theirs} {
			if got := names(l, host); got != want {
				t.Errorf("%s shows %q for %s, want %q", which, got, host, want)
			}
		}
	}
	both("a.test", "")
	first, second := pair(t, "a.test"), pair(t, "*.b.test")
	for _, p := range []Pair{first, second, first} {
		if err := ours.Swap([]Entry{{Pair: p, Domains: []string{"a.test", "*.b.test"}}}); err != nil {
			t.Fatal(err)
		}
		want := names(ours, "a.test")
		if (want == "a.test") != (p == first) {
			t.Errorf("shown is %q", want)
		}
		both("a.test", want)
		both("x.b.test", want)
		both("y.x.b.test", "")
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v, %v", info.Mode(), err)
	}
	sealed, err := os.ReadFile(file)
	if err != nil || bytes.Contains(sealed, []byte("PRIVATE KEY")) || bytes.Contains(sealed, []byte("a.test")) {
		t.Errorf("the file can be read by whoever has it: %v", err)
	}

	// What somebody else wrote there is not believed, and said once.
	if err := os.WriteFile(file, bytes.Repeat([]byte("x"), 100), 0o600); err != nil {
		t.Fatal(err)
	}
	both("a.test", "a.test")
	both("a.test", "a.test")
	if got := strings.Count(said.String(), "\n"); got != 1 || !strings.Contains(said.String(), "sealed under another key") {
		t.Errorf("the router said:\n%s", &said)
	}
	if err := ours.Swap(nil); err != nil {
		t.Fatal(err)
	}
	both("a.test", "")
}

func TestAChallengeIsForWhoAsksForItAlone(t *testing.T) {
	dir := t.TempDir()
	l, err := Open(filepath.Join(dir, "certificates"), make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	ca, err := pki.Open(filepath.Join(dir, "ca"))
	if err != nil {
		t.Fatal(err)
	}
	config := l.ServerConfig(ca.ServerConfig(func(name string) bool { return strings.HasSuffix(name, ".localhost") }))
	config.NextProtos = []string{"h2", "http/1.1"}
	shown := func(name string, protocols ...string) string {
		client, server := net.Pipe()
		defer client.Close()
		go func() {
			defer server.Close()
			tls.Server(server, config).Handshake()
		}()
		c := tls.Client(client, &tls.Config{ServerName: name, NextProtos: protocols, InsecureSkipVerify: true})
		if err := c.Handshake(); err != nil {
			return "none"
		}
		return fmt.Sprint(c.ConnectionState().PeerCertificates[0].Subject.CommonName, " ", c.ConnectionState().NegotiatedProtocol)
	}
	expect := func(want, name string, protocols ...string) {
		t.Helper()
		if got := shown(name, protocols...); got != want {
			t.Errorf("%s, by %v: %q, want %q", name, protocols, got, want)
		}
	}
	if err := l.Swap([]Entry{{Pair: pair(t, "a.test"), Domains: []string{"a.test"}}}); err != nil {
		t.Fatal(err)
	}
	if err := l.Challenge("a.test", pair(t, "challenge.test")); err != nil {
		t.Fatal(err)
	}
	expect("challenge.test acme-tls/1", "a.test", "acme-tls/1")
	expect("a.test h2", "a.test", "h2", "acme-tls/1")
	expect("a.test ", "a.test")
	expect("app.localhost http/1.1", "app.localhost", "http/1.1")
	expect("localhost h2", "b.test", "h2")
	expect("none", "b.test", "acme-tls/1")
	if err := l.Challenge("a.test", Pair{}); err != nil {
		t.Fatal(err)
	}
	expect("none", "a.test", "acme-tls/1")
	expect("a.test h2", "a.test", "h2")
}

func TestHandshakesSeeOneSetOrTheOther(t *testing.T) {
	l, err := Open(filepath.Join(t.TempDir(), "certificates"), make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	one, other := pair(t, "one.test"), pair(t, "other.test")
	swap := func(p Pair) {
		if err := l.Swap([]Entry{{Pair: p, Domains: []string{"a.test", "b.test"}}}); err != nil {
			t.Error(err)
		}
	}
	swap(one)
	var work sync.WaitGroup
	done := make(chan struct{})
	for range 4 {
		work.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				set := l.Set()
				a, _ := set.Lookup("a.test")
				b, _ := set.Lookup("b.test")
				if a == nil || a != b {
					t.Error("half of a change is seen")
					return
				}
			}
		})
	}
	for range 50 {
		swap(other)
		swap(one)
	}
	close(done)
	work.Wait()
}
