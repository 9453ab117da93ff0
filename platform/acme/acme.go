// Package acme gets certificates from an authority that speaks ACME (RFC 8555),
// such as Let's Encrypt. That a domain is niwa's is shown on the port where it
// is served over TLS (TLS-ALPN-01, RFC 8737), so that no path of an app's is
// taken, and routers that run alone can show it as well.
package acme

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/acme"

	"niwa/platform"
	"niwa/platform/certs"
)

// Config says which authority, and as whom niwa asks it.
type Config struct {
	Directory string         // URL
	Email     string         // where it writes to when something is wrong; may be empty
	Roots     *x509.CertPool // who vouches for its server; nil for the machine's
	// Account reads the key of niwa's account, in PEM, and SaveAccount keeps
	// it. It is empty until there is one.
	Account     func(ctx context.Context) (string, error)
	SaveAccount func(ctx context.Context, key string) error
	// Challenge has routers show a certificate to who asks whether a domain is
	// here; an empty one ends that.
	Challenge func(domain string, p certs.Pair) error
	Version   string
}

// Issuer gets certificates. Its methods may be called at the same time.
type Issuer struct {
	cfg Config

	mu     sync.Mutex
	client *acme.Client // nil until there is an account
}

// New makes an Issuer. It asks nobody anything yet.
func New(cfg Config) *Issuer { return &Issuer{cfg: cfg} }

// Issue gets a certificate for a domain. What the authority has against it is a
// platform.Error.
func (i *Issuer) Issue(ctx context.Context, domain string) (certs.Pair, error) {
	if strings.HasPrefix(domain, "*.") {
		return certs.Pair{}, platform.Invalid("Certificates for wildcard domains are not managed: the authority would ask for a change of the DNS. Add one with \"heroku certs:add\".")
	}
	client, err := i.account(ctx)
	if err != nil {
		return certs.Pair{}, i.explain(domain, err)
	}
	p, err := i.order(ctx, client, domain)
	return p, i.explain(domain, err)
}

func (i *Issuer) order(ctx context.Context, client *acme.Client, domain string) (p certs.Pair, err error) {
	order, err := client.AuthorizeOrder(ctx, acme.DomainIDs(domain))
	if err != nil {
		return p, err
	}
	for _, url := range order.AuthzURLs {
		if err := i.authorize(ctx, client, domain, url); err != nil {
			return p, err
		}
	}
	uri := order.URI
	if order, err = client.WaitOrder(ctx, uri); err != nil {
		return p, err
	}
	order.URI = uri
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return p, err
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: []string{domain}}, key)
	if err != nil {
		return p, err
	}
	chain, _, err := client.CreateCertFromOrder(ctx, order, csr, true)
	if err != nil {
		return p, err
	}
	return encode(chain, key)
}

// authorize shows the authority that a domain is here.
func (i *Issuer) authorize(ctx context.Context, client *acme.Client, domain, url string) (err error) {
	authz, err := client.GetAuthorization(ctx, url)
	if err != nil || authz.Status == acme.StatusValid {
		return err
	}
	var challenge *acme.Challenge
	var offered []string
	for _, c := range authz.Challenges {
		offered = append(offered, c.Type)
		if c.Type == "tls-alpn-01" {
			challenge = c
		}
	}
	if challenge == nil {
		return platform.Invalid("The certificate authority does not offer tls-alpn-01, which is how niwa shows that %s leads to it, but %s.", domain, strings.Join(offered, ", "))
	}
	shown, err := client.TLSALPN01ChallengeCert(challenge.Token, domain)
	if err != nil {
		return err
	}
	p, err := encode(shown.Certificate, shown.PrivateKey)
	if err != nil {
		return err
	}
	if err := i.cfg.Challenge(domain, p); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, i.cfg.Challenge(domain, certs.Pair{})) }()
	if _, err := client.Accept(ctx, challenge); err != nil {
		return err
	}
	_, err = client.WaitAuthorization(ctx, url)
	return err
}

// account is the client of niwa's account, which is made when there is none.
func (i *Issuer) account(ctx context.Context) (*acme.Client, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.client != nil {
		return i.client, nil
	}
	key, err := i.accountKey(ctx)
	if err != nil {
		return nil, err
	}
	client := &acme.Client{
		Key: key, DirectoryURL: i.cfg.Directory, UserAgent: "niwa/" + i.cfg.Version,
		HTTPClient: &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{RootCAs: i.cfg.Roots}, ForceAttemptHTTP2: true,
		}},
	}
	asked := &acme.Account{}
	if i.cfg.Email != "" {
		asked.Contact = []string{"mailto:" + i.cfg.Email}
	}
	if _, err := client.Register(ctx, asked, acme.AcceptTOS); err != nil && !errors.Is(err, acme.ErrAccountAlreadyExists) {
		return nil, err
	}
	i.client = client
	return client, nil
}

// accountKey reads the key of the account, or makes one and keeps it, before
// the authority hears of it.
func (i *Issuer) accountKey(ctx context.Context) (*ecdsa.PrivateKey, error) {
	text, err := i.cfg.Account(ctx)
	if err != nil {
		return nil, err
	}
	if text != "" {
		block, _ := pem.Decode([]byte(text))
		if block == nil {
			return nil, errors.New("the key of the ACME account is not in PEM")
		}
		return x509.ParseECPrivateKey(block.Bytes)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, err
	}
	return key, i.cfg.SaveAccount(ctx, string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})))
}

func encode(chain [][]byte, key crypto.PrivateKey) (p certs.Pair, err error) {
	for _, der := range chain {
		p.Chain += string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	p.Key = string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	return p, err
}

// explain words what the authority has said for the owner of a domain. What
// went wrong on the way to it is for whoever runs niwa.
func (i *Issuer) explain(domain string, err error) error {
	var refused *acme.AuthorizationError
	var said *acme.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refused):
		var details []string
		for _, e := range refused.Errors {
			if errors.As(e, &said) {
				details = append(details, said.Detail)
			}
		}
		return platform.Invalid("The certificate authority could not see that %s leads here: %s", domain, strings.Join(details, "; "))
	case errors.As(err, &said):
		return platform.Invalid("The certificate authority refused a certificate for %s: %s", domain, said.Detail)
	}
	var told *platform.Error
	if errors.As(err, &told) {
		return told
	}
	return fmt.Errorf("certificate authority %s: %w", i.cfg.Directory, err)
}
