package certs

import (
	"crypto/elliptic"
	"strings"
	"testing"
	"time"
)

// FuzzCheck gives Check what a client may upload. Whatever it takes can be
// served, and an error has nothing of the key in it.
func FuzzCheck(f *testing.F) {
	f.Add("", "")
	f.Add("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
	s := sign(f, nil, generate(f, elliptic.P256()), server("a.test"))
	f.Add(chain(s), s.pem(f))
	f.Fuzz(func(t *testing.T, chain, key string) {
		c, err := Check(chain, key, time.Now())
		if err == nil {
			if _, err := parse(c.Pair); err != nil || Covers(c.Leaf, "a.test") && len(Names(c.Leaf)) == 0 {
				t.Errorf("taken, and then: %v", err)
			}
			return
		}
		for line := range strings.Lines(key) {
			if line = strings.TrimSpace(line); len(line) > 20 && !strings.ContainsAny(line, " -") && strings.Contains(err.Error(), line) {
				t.Errorf("the error has a line of the key: %v", err)
			}
		}
	})
}
