// Package certs is the certificates of apps: what a pair of a chain and a key
// must be to be served, and which one a client that names a host is shown.
//
// Those in use are a Set, which never changes. Live holds the one of the
// moment, so that a handshake waits for nobody who changes it and asks nobody,
// and keeps it in a sealed file, from which routers that run alone read it.
package certs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

const (
	maxChain  = 64 << 10 // bytes of PEM
	maxKey    = 8 << 10
	maxLength = 10 // certificates in a chain
	minRSA    = 2048
	maxRSA    = 4096 // each handshake pays for it, and all apps share the router
)

// Pair is a chain and its key in PEM: the certificate of the server first, and
// then each that signed the one before it.
type Pair struct{ Chain, Key string }

// Certificate is a Pair that was understood.
type Certificate struct {
	Pair
	Leaf *x509.Certificate
	tls  *tls.Certificate
}

// Check returns what a client uploaded as it is to be served: one leaf, which
// the key belongs to and which has not expired, and its issuers in order. The
// error is for people, and has nothing of the key in it.
func Check(chain, key string, now time.Time) (*Certificate, error) {
	public, key, err := parseKey(key)
	if err != nil {
		return nil, err
	}
	all, err := parseChain(chain)
	if err != nil {
		return nil, err
	}
	ordered, err := arrange(all, public)
	if err != nil {
		return nil, err
	}
	leaf := ordered[0]
	switch {
	case now.After(leaf.NotAfter):
		return nil, fmt.Errorf("the certificate expired at %s", leaf.NotAfter.UTC().Format(time.RFC3339))
	case len(Names(leaf)) == 0:
		return nil, errors.New("the certificate names no host, neither as a subject alternative name nor as its common name")
	}
	return parse(Pair{encode(ordered), key})
}

// parse takes a Pair that was checked before.
func parse(p Pair) (*Certificate, error) {
	pair, err := tls.X509KeyPair([]byte(p.Chain), []byte(p.Key))
	if err != nil {
		return nil, errors.New("the certificate and the key do not belong together")
	}
	return &Certificate{Pair: p, Leaf: pair.Leaf, tls: &pair}, nil
}

// Names are the hosts that a certificate is for. Browsers have long since
// ignored the common name; Heroku shows it where there is nothing else.
func Names(leaf *x509.Certificate) []string {
	if len(leaf.DNSNames) > 0 {
		return leaf.DNSNames
	}
	if leaf.Subject.CommonName != "" {
		return []string{leaf.Subject.CommonName}
	}
	return nil
}

// Covers says whether a certificate is for a domain, which may be a wildcard.
func Covers(leaf *x509.Certificate, domain string) bool {
	if rest, wild := strings.CutPrefix(domain, "*."); wild {
		return slices.ContainsFunc(Names(leaf), func(name string) bool { return strings.EqualFold(name, "*."+rest) })
	}
	named := *leaf
	named.DNSNames = Names(leaf)
	return named.VerifyHostname(domain) == nil
}

// Read parses the first certificate of a chain that was checked.
func Read(chain string) (*x509.Certificate, error) {
	block, _ := pem.Decode([]byte(chain))
	if block == nil {
		return nil, errors.New("no certificate in PEM")
	}
	return x509.ParseCertificate(block.Bytes)
}

// Trusted says whether this machine's roots vouch for a chain, its dates aside.
func Trusted(chain string) bool {
	all, err := parseChain(chain)
	if err != nil {
		return false
	}
	between := x509.NewCertPool()
	for _, c := range all[1:] {
		between.AddCert(c)
	}
	_, err = all[0].Verify(x509.VerifyOptions{Intermediates: between, CurrentTime: all[0].NotAfter.Add(-time.Second)})
	return err == nil
}

func parseChain(text string) (all []*x509.Certificate, err error) {
	if len(text) > maxChain {
		return nil, fmt.Errorf("the certificate chain has %d bytes; at most %d are taken", len(text), maxChain)
	}
	for rest := []byte(text); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("the certificate chain holds a %s; only certificates belong there", kind(block.Type))
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d of the chain cannot be read", len(all)+1)
		}
		all = append(all, c)
	}
	switch {
	case len(all) == 0:
		return nil, errors.New("the certificate chain holds no certificate in PEM, which begins with -----BEGIN CERTIFICATE-----")
	case len(all) > maxLength:
		return nil, fmt.Errorf("the certificate chain has %d certificates; at most %d are taken", len(all), maxLength)
	}
	return all, nil
}

// kind is the type of a PEM block, in a message for people: never anything
// that came from inside it.
func kind(blockType string) string {
	if strings.HasSuffix(blockType, "PRIVATE KEY") {
		return "private key"
	}
	return "block that is none"
}

// parseKey returns the public half of a private key, and the key without what
// may stand around it.
func parseKey(text string) (public crypto.PublicKey, key string, err error) {
	if len(text) > maxKey {
		return nil, "", fmt.Errorf("the private key has %d bytes; at most %d are taken", len(text), maxKey)
	}
	block, rest := pem.Decode([]byte(text))
	for block != nil && block.Type == "EC PARAMETERS" { // openssl ecparam -genkey writes them first
		block, rest = pem.Decode(rest)
	}
	switch {
	case block == nil:
		return nil, "", errors.New("the private key is not in PEM, which begins with -----BEGIN PRIVATE KEY-----")
	case block.Type == "ENCRYPTED PRIVATE KEY", block.Headers["DEK-Info"] != "":
		return nil, "", errors.New("the private key has a passphrase; take it off with \"openssl pkey -in KEY -out KEY\"")
	case !strings.HasSuffix(block.Type, "PRIVATE KEY"):
		return nil, "", errors.New("there is no private key where one should be; is it the file of the certificate?")
	}
	public, err = publicHalf(block.Bytes)
	return public, string(pem.EncodeToMemory(block)), err
}

func publicHalf(der []byte) (crypto.PublicKey, error) {
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		key, err = x509.ParsePKCS1PrivateKey(der)
	}
	if err != nil {
		key, err = x509.ParseECPrivateKey(der)
	}
	if err != nil {
		return nil, errors.New("the private key cannot be read")
	}
	switch key := key.(type) {
	case *rsa.PrivateKey:
		if bits := key.N.BitLen(); bits < minRSA || bits > maxRSA {
			return nil, fmt.Errorf("the private key is RSA of %d bits; those of %d to %d are taken", bits, minRSA, maxRSA)
		}
		return key.Public(), nil
	case *ecdsa.PrivateKey:
		if key.Curve != elliptic.P256() && key.Curve != elliptic.P384() {
			return nil, fmt.Errorf("the private key is on the curve %s; P-256 and P-384 are taken", key.Curve.Params().Name)
		}
		return key.Public(), nil
	}
	return nil, errors.New("the private key is neither RSA nor ECDSA, which are what browsers take")
}

// arrange puts the certificate of the key first, and behind each the one that
// signed it.
func arrange(all []*x509.Certificate, key crypto.PublicKey) ([]*x509.Certificate, error) {
	leaf := slices.IndexFunc(all, func(c *x509.Certificate) bool {
		p, ok := c.PublicKey.(interface{ Equal(x crypto.PublicKey) bool })
		return ok && p.Equal(key)
	})
	if leaf < 0 {
		return nil, errors.New("the private key belongs to none of the certificates")
	}
	ordered := []*x509.Certificate{all[leaf]}
	rest := slices.Delete(slices.Clone(all), leaf, leaf+1)
	for len(rest) > 0 {
		last := ordered[len(ordered)-1]
		next := slices.IndexFunc(rest, func(c *x509.Certificate) bool { return last.CheckSignatureFrom(c) == nil })
		if next < 0 {
			return nil, fmt.Errorf("the chain is broken: %q was signed by %q, which is not among the certificates, and %d belong nowhere",
				last.Subject, last.Issuer, len(rest))
		}
		ordered = append(ordered, rest[next])
		rest = slices.Delete(rest, next, next+1)
	}
	return ordered, nil
}

func encode(chain []*x509.Certificate) string {
	var out strings.Builder
	for _, c := range chain {
		out.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
	}
	return out.String()
}

// Slashed writes a name as openssl once did and Heroku does: /C=SE/CN=a.test.
func Slashed(n pkix.Name) string {
	var out strings.Builder
	for _, a := range n.Names {
		fmt.Fprintf(&out, "/%s=%v", short(a.Type.String()), a.Value)
	}
	return out.String()
}

// short is what an attribute of a name is called; its number where it has none.
func short(oid string) string {
	switch oid {
	case "2.5.4.3":
		return "CN"
	case "2.5.4.6":
		return "C"
	case "2.5.4.7":
		return "L"
	case "2.5.4.8":
		return "ST"
	case "2.5.4.10":
		return "O"
	case "2.5.4.11":
		return "OU"
	}
	return oid
}
