package pki

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"testing"
	"time"
)

// accepted says whether a client with that clock accepts what a server has.
func accepted(t *testing.T, a *Authority, now time.Time) error {
	t.Helper()
	pem, err := os.ReadFile(a.CertFile())
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	cert, err := a.ServerConfig(func(string) bool { return true }).GetCertificate(&tls.ClientHelloInfo{ServerName: "garden.localhost"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = cert.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: "garden.localhost", CurrentTime: now})
	return err
}

func TestCertificatesAreGoodWhereverTheClockGoes(t *testing.T) {
	begun := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	at := begun
	a := &Authority{dir: t.TempDir(), now: func() time.Time { return at }, leaves: map[string]*tls.Certificate{}}
	if err := a.create(); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		name string
		to   time.Time
	}{
		{"at first", begun},
		{"a day back", begun.AddDate(0, 0, -1)},
		{"two months back", begun.AddDate(0, -2, 0)},
		{"at first again", begun},
		{"a year on", begun.AddDate(1, 0, 0)},
		{"the day before the first leaf ends", begun.Add(leafAfter - 24*time.Hour)},
		{"three years on", begun.AddDate(3, 0, 0)},
		{"nine years on", begun.AddDate(9, 0, 0)},
		{"back to the beginning", begun},
	} {
		at = step.to
		if err := accepted(t, a, at); err != nil {
			t.Errorf("%s: %v", step.name, err)
		}
	}
}

func TestALeafIsNotMadeAnewForEachClient(t *testing.T) {
	a, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	get := a.ServerConfig(nil).GetCertificate
	first, err1 := get(&tls.ClientHelloInfo{})
	second, err2 := get(&tls.ClientHelloInfo{})
	if err1 != nil || err2 != nil || first != second {
		t.Errorf("%v, %v", err1, err2)
	}
	if life := first.Leaf.NotAfter.Sub(first.Leaf.NotBefore); life > 825*24*time.Hour {
		t.Errorf("it lives for %v, which browsers do not accept", life)
	}
}
