package acme_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"niwa/platform"
	"niwa/platform/acme"
	"niwa/platform/acme/acmetest"
	"niwa/platform/certs"
	"niwa/platform/pki"
)

// edge ends TLS as a router does, with the certificates of a Live.
func edge(t *testing.T, live *certs.Live, own *pki.Authority) string {
	t.Helper()
	ln, err := tls.Listen("tcp", "127.0.0.1:0", live.ServerConfig(own.ServerConfig(nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				io.Copy(io.Discard, c)
			}()
		}
	}()
	return ln.Addr().String()
}

func live(t *testing.T) (*certs.Live, *pki.Authority) {
	t.Helper()
	dir := t.TempDir()
	l, err := certs.Open(filepath.Join(dir, "certs"), make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	ca, err := pki.Open(filepath.Join(dir, "ca"))
	if err != nil {
		t.Fatal(err)
	}
	return l, ca
}

func issuer(t *testing.T, a acmetest.Authority, account *string, challenge func(string, certs.Pair) error) *acme.Issuer {
	t.Helper()
	roots := x509.NewCertPool()
	pem, err := os.ReadFile(a.Roots)
	if err != nil {
		t.Fatal(err)
	}
	roots.AppendCertsFromPEM(pem)
	return acme.New(acme.Config{
		Directory: a.Directory, Email: "gardener@example.test", Roots: roots, Challenge: challenge, Version: "test",
		Account:     func(context.Context) (string, error) { return *account, nil },
		SaveAccount: func(_ context.Context, key string) error { *account = key; return nil },
	})
}

func TestAnAuthorityIssuesForADomainThatLeadsHere(t *testing.T) {
	t.Parallel()
	l, ca := live(t)
	addr := edge(t, l, ca)
	a := acmetest.Start(t, acmetest.Port(t, addr))
	var account string
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for range 2 { // the second time with the account that there is, as after a restart
		had := account
		p, err := issuer(t, a, &account, l.Challenge).Issue(ctx, "www.example.test")
		if err != nil {
			t.Fatal(err)
		}
		if had != "" && had != account {
			t.Error("another account was made")
		}
		checked, err := certs.Check(p.Chain, p.Key, time.Now())
		if err != nil || checked.Leaf.VerifyHostname("www.example.test") != nil || strings.Count(p.Chain, "BEGIN") < 2 {
			t.Fatalf("issued was %v, %v\n%s", checked, err, p.Chain)
		}
		if err := l.Swap([]certs.Entry{{Pair: p, Domains: []string{"www.example.test"}}}); err != nil {
			t.Fatal(err)
		}
		c, err := tls.Dial("tcp", addr, &tls.Config{ServerName: "www.example.test", InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		if shown := c.ConnectionState().PeerCertificates[0]; !shown.Equal(checked.Leaf) {
			t.Errorf("a client is shown %v", shown.Subject)
		}
		c.Close()
	}
	c, err := tls.Dial("tcp", addr, &tls.Config{ServerName: "www.example.test", NextProtos: []string{"acme-tls/1"}, InsecureSkipVerify: true})
	if err == nil {
		if c.ConnectionState().NegotiatedProtocol != "" {
			t.Error("the challenge is still answered after it")
		}
		c.Close()
	}
}

func TestWhyAnAuthorityIssuesNothingIsSaid(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	a := acmetest.Start(t, acmetest.Port(t, ln.Addr().String()))
	ln.Close() // nobody is there
	var account string
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	i := issuer(t, a, &account, func(string, certs.Pair) error { return nil })
	for domain, reason := range map[string]string{
		"www.example.test":  "could not see that www.example.test leads here: ",
		acmetest.Blocked:    "refused a certificate for " + acmetest.Blocked + ": ",
		"*.example.test":    "heroku certs:add",
		"not_a_domain.test": "refused a certificate for not_a_domain.test: ",
	} {
		_, err := i.Issue(ctx, domain)
		var told *platform.Error
		if !errors.As(err, &told) || !strings.Contains(told.Message, reason) || strings.HasSuffix(told.Message, ": ") {
			t.Errorf("%s: %v", domain, err)
		}
	}
	_, err = issuer(t, acmetest.Authority{Directory: "https://" + ln.Addr().String() + "/dir", Roots: a.Roots}, &account, nil).Issue(ctx, "www.example.test")
	var told *platform.Error
	if err == nil || errors.As(err, &told) {
		t.Errorf("without an authority: %v", err)
	}
}
