package certs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"
)

// signed is a certificate with its key.
type signed struct {
	cert *x509.Certificate
	key  crypto.Signer
}

func generate(t testing.TB, curve elliptic.Curve) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// sign makes a certificate for a key, signed by another or by itself.
func sign(t testing.TB, by *signed, key crypto.Signer, template x509.Certificate) *signed {
	t.Helper()
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	if template.NotAfter.IsZero() {
		template.NotAfter = time.Now().Add(time.Hour)
	}
	template.NotBefore = template.NotAfter.Add(-48 * time.Hour)
	parent := signed{&template, key}
	if by != nil {
		parent = *by
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, parent.cert, key.Public(), parent.key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &signed{cert, key}
}

func authority(name string) x509.Certificate {
	return x509.Certificate{Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
}

func server(names ...string) x509.Certificate {
	return x509.Certificate{Subject: pkix.Name{CommonName: names[0]}, DNSNames: names}
}

func chain(all ...*signed) string {
	var certs []*x509.Certificate
	for _, s := range all {
		certs = append(certs, s.cert)
	}
	return encode(certs)
}

func (s *signed) pem(t testing.TB) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(s.key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func TestAChainIsPutInOrderAndAKeyIsTakenInEachOfItsForms(t *testing.T) {
	root := sign(t, nil, generate(t, elliptic.P256()), authority("root"))
	between := sign(t, root, generate(t, elliptic.P256()), authority("between"))
	leaf := sign(t, between, generate(t, elliptic.P384()), server("www.a.test"))
	ec, err := x509.MarshalECPrivateKey(leaf.key.(*ecdsa.PrivateKey))
	if err != nil {
		t.Fatal(err)
	}
	sec1 := string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: ec}))
	parameters := string(pem.EncodeToMemory(&pem.Block{Type: "EC PARAMETERS", Bytes: []byte{6, 5, 43, 129, 4, 0, 34}}))
	want := chain(leaf, between, root)
	for name, p := range map[string]Pair{
		"in order":              {want, leaf.pem(t)},
		"backwards":             {chain(root, between, leaf), leaf.pem(t)},
		"with text between":     {"Bag attributes\n" + chain(leaf) + "subject=x\n" + chain(root, between), "key:\n" + leaf.pem(t)},
		"a key as SEC 1":        {want, sec1},
		"with EC parameters":    {want, parameters + sec1},
		"with Windows' endings": {strings.ReplaceAll(want, "\n", "\r\n"), strings.ReplaceAll(leaf.pem(t), "\n", "\r\n")},
	} {
		got, err := Check(p.Chain, p.Key, time.Now())
		if err != nil || got.Chain != want || !got.Leaf.Equal(leaf.cert) {
			t.Errorf("%s: %v", name, err)
		}
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	pkcs1 := string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(rsaKey)}))
	alone := sign(t, nil, rsaKey, server("www.a.test"))
	if _, err := Check(chain(alone), pkcs1, time.Now()); err != nil {
		t.Errorf("a self-signed one, with its key as PKCS #1: %v", err)
	}
}

func TestWhatCannotBeServedIsRefusedInWordsThatHelp(t *testing.T) {
	root := sign(t, nil, generate(t, elliptic.P256()), authority("root"))
	stranger := sign(t, nil, generate(t, elliptic.P256()), authority("stranger"))
	leaf := sign(t, root, generate(t, elliptic.P256()), server("www.a.test"))
	key := leaf.pem(t)
	expired := server("www.a.test")
	expired.NotAfter = time.Now().Add(-time.Minute)
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	edwards, old := sign(t, root, ed, server("www.a.test")), sign(t, root, leaf.key, expired)
	p521 := sign(t, root, generate(t, elliptic.P521()), server("www.a.test"))
	nameless := sign(t, root, leaf.key, x509.Certificate{Subject: pkix.Name{Organization: []string{"A"}}})
	encrypted := string(pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte("secret")}))
	for name, test := range map[string]struct{ chain, key, want string }{
		"nothing":                    {"", "", "the private key is not in PEM"},
		"no certificate":             {"hello", key, "no certificate in PEM"},
		"DER":                        {string(leaf.cert.Raw), key, "no certificate in PEM"},
		"a certificate for a key":    {chain(leaf), chain(leaf), "is it the file of the certificate?"},
		"a key in the chain":         {chain(leaf) + key, key, "holds a private key"},
		"a broken certificate":       {"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", key, "certificate 1 of the chain cannot be read"},
		"a broken key":               {chain(leaf), "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "the private key cannot be read"},
		"a key with a passphrase":    {chain(leaf), encrypted, "openssl pkey"},
		"another's key":              {chain(leaf, root), stranger.pem(t), "belongs to none of the certificates"},
		"a chain with a hole":        {chain(leaf, stranger), key, `"CN=www.a.test" was signed by "CN=root", which is not among the certificates`},
		"an expired one":             {chain(old), key, "expired at "},
		"one without a name":         {chain(nameless), key, "names no host"},
		"a key no browser takes":     {chain(edwards), edwards.pem(t), "neither RSA nor ECDSA"},
		"a curve no browser takes":   {chain(p521), p521.pem(t), "on the curve P-521; P-256 and P-384 are taken"},
		"too much of a chain":        {strings.Repeat("x", maxChain+1), key, "at most 65536 are taken"},
		"too many certificates":      {strings.Repeat(chain(leaf), maxLength+1), key, "at most 10 are taken"},
		"too much of a key":          {chain(leaf), strings.Repeat("x", maxKey+1), "at most 8192 are taken"},
		"the same certificate twice": {chain(leaf, leaf), key, "1 belong nowhere"},
	} {
		_, err := Check(test.chain, test.key, time.Now())
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestACertificateIsForTheHostsItNames(t *testing.T) {
	leaf := sign(t, nil, generate(t, elliptic.P256()), server("a.test", "*.b.test")).cert
	common := sign(t, nil, generate(t, elliptic.P256()), x509.Certificate{Subject: pkix.Name{CommonName: "c.test", Country: []string{"SE"}}}).cert
	for domain, want := range map[string]bool{"a.test": true, "A.test": true, "x.a.test": false, "x.b.test": true, "*.b.test": true, "*.a.test": false, "x.y.b.test": false, "b.test": false} {
		if got := Covers(leaf, domain); got != want {
			t.Errorf("%s: %v", domain, got)
		}
	}
	if !Covers(common, "c.test") || Covers(common, "d.test") || Slashed(common.Subject) != "/C=SE/CN=c.test" {
		t.Errorf("by its common name, %s", Slashed(common.Subject))
	}
	if Trusted(encode([]*x509.Certificate{leaf})) {
		t.Error("this machine's roots vouch for it")
	}
}
