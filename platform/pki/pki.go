// Package pki is the certificate authority of one niwa: made at first start,
// kept in the data directory, trusted by nobody until it is named in
// NODE_EXTRA_CA_CERTS or http.sslCAInfo. It signs the leaf certificates of
// the API, of rendezvous and of the data services.
package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/google/renameio/v2"
)

// Authority signs certificates.
type Authority struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	now  func() time.Time

	mu     sync.Mutex
	leaves map[string]*tls.Certificate // by the name asked for
}

// A certificate is good from some time before it was made: the clock may have
// been wrong then, and be set back. That of the authority is read by clients
// that may stay for years; a leaf lives for two, of which one month has passed:
// more than 825 days in all browsers do not accept.
const (
	authorityBefore, authorityAfter = 365 * 24 * time.Hour, 10 * 365 * 24 * time.Hour
	leafBefore, leafAfter           = 30 * 24 * time.Hour, 2 * 365 * 24 * time.Hour
)

// Open reads the authority in dir, or makes one there. The key is readable by
// its owner alone.
func Open(dir string) (*Authority, error) {
	a := &Authority{dir: dir, now: time.Now, leaves: map[string]*tls.Certificate{}}
	err := a.load()
	if errors.Is(err, fs.ErrNotExist) {
		err = a.create()
	}
	if err != nil {
		return nil, fmt.Errorf("certificate authority in %s: %w", dir, err)
	}
	return a, nil
}

// CertFile is the path of the authority's certificate, for clients to trust.
func (a *Authority) CertFile() string { return filepath.Join(a.dir, "ca.pem") }

func (a *Authority) keyFile() string { return filepath.Join(a.dir, "ca-key.pem") }

func (a *Authority) load() error {
	pair, err := tls.LoadX509KeyPair(a.CertFile(), a.keyFile())
	if err != nil {
		return err
	}
	key, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok {
		return fmt.Errorf("%s holds a %T, not an ECDSA key; move the folder away to have a new one made", a.keyFile(), pair.PrivateKey)
	}
	a.cert, a.key = pair.Leaf, key
	return nil
}

func (a *Authority) create() error {
	if err := os.MkdirAll(a.dir, 0o755); err != nil {
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber:          serial(),
		Subject:               pkix.Name{CommonName: "niwa local CA"},
		NotBefore:             a.now().Add(-authorityBefore),
		NotAfter:              a.now().Add(authorityAfter),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		return err
	}
	a.key = key
	return writePair(a.CertFile(), a.keyFile(), [][]byte{der}, key)
}

// Leaf returns a certificate for the hosts, names or IP addresses, valid for
// two years: what browsers and Node accept.
func (a *Authority) Leaf(hosts ...string) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial(),
		Subject:      pkix.Name{CommonName: hosts[0]},
		NotBefore:    a.now().Add(-leafBefore),
		NotAfter:     a.now().Add(leafAfter),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, h)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	return &tls.Certificate{Certificate: [][]byte{der, a.cert.Raw}, PrivateKey: key, Leaf: leaf}, err
}

// WriteLeaf makes a Leaf for hosts and writes it as server.pem and
// server-key.pem in dir, for servers that read files. The key is 0600; the
// caller gives the files to the server's user.
func (a *Authority) WriteLeaf(dir string, hosts ...string) (certFile, keyFile string, err error) {
	leaf, err := a.Leaf(hosts...)
	if err != nil {
		return "", "", err
	}
	certFile, keyFile = filepath.Join(dir, "server.pem"), filepath.Join(dir, "server-key.pem")
	return certFile, keyFile, writePair(certFile, keyFile, leaf.Certificate, leaf.PrivateKey.(*ecdsa.PrivateKey))
}

// ServerConfig is for a TLS listener: it answers each server name that allow
// accepts with a certificate of its own, and every other client (and one that
// sent no name) with one for loopback.
func (a *Authority) ServerConfig(allow func(serverName string) bool) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			name := hello.ServerName
			if name == "" || allow == nil || !allow(name) {
				return a.cached("", "localhost", "127.0.0.1", "::1")
			}
			return a.cached(name, name)
		},
	}
}

// maxLeaves bounds what clients can make the authority remember.
const maxLeaves = 1000

func (a *Authority) cached(name string, hosts ...string) (*tls.Certificate, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if leaf := a.leaves[name]; leaf != nil && a.serves(leaf) {
		return leaf, nil
	}
	leaf, err := a.Leaf(hosts...)
	if err != nil {
		return nil, err
	}
	if len(a.leaves) >= maxLeaves {
		clear(a.leaves)
	}
	a.leaves[name] = leaf
	return leaf, nil
}

// serves says whether a leaf is good now and will be for a while.
func (a *Authority) serves(leaf *tls.Certificate) bool {
	now := a.now()
	return now.After(leaf.Leaf.NotBefore) && now.Before(leaf.Leaf.NotAfter.Add(-leafBefore))
}

func serial() *big.Int {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		panic(err) // crypto/rand does not fail on supported systems
	}
	return n
}

// LeafPEM makes a Leaf for hosts and returns it as text: the chain, and its key.
func (a *Authority) LeafPEM(hosts ...string) (chain, key string, err error) {
	leaf, err := a.Leaf(hosts...)
	if err != nil {
		return "", "", err
	}
	certs, private, err := encode(leaf.Certificate, leaf.PrivateKey.(*ecdsa.PrivateKey))
	return string(certs), string(private), err
}

func encode(chain [][]byte, key *ecdsa.PrivateKey) (certs, private []byte, err error) {
	for _, der := range chain {
		certs = append(certs, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	return certs, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), err
}

func writePair(certFile, keyFile string, chain [][]byte, key *ecdsa.PrivateKey) error {
	certs, private, err := encode(chain, key)
	if err != nil {
		return err
	}
	beside := renameio.WithTempDir(filepath.Dir(keyFile)) // and not where everybody's are
	if err := renameio.WriteFile(keyFile, private, 0o600, beside); err != nil {
		return err
	}
	return renameio.WriteFile(certFile, certs, 0o644, beside)
}
