package instance

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"niwa/platform/acme"
	"niwa/platform/certs"
	"niwa/platform/pki"
	"niwa/platform/store"
)

// certsFile has the certificates of apps, sealed, for routers that run alone.
func certsFile(data string) string { return filepath.Join(data, "certificates") }

// followCerts is for a router that runs alone: the certificates that the
// platform on the data directory last kept there.
func (i *Instance) followCerts() (*certs.Live, error) {
	key, err := os.ReadFile(filepath.Join(i.cfg.Data, "key"))
	if err != nil {
		return nil, err
	}
	return certs.Follow(certsFile(i.cfg.Data), key, i.cfg.Log)
}

// issue is who signs the certificates of domains: the authority that is
// configured, or else niwa's own.
func (i *Instance) issue(ca *pki.Authority, state *store.Store, live *certs.Live) (func(context.Context, string) (certs.Pair, error), error) {
	if i.cfg.ACMEDirectory == "" {
		return func(_ context.Context, domain string) (p certs.Pair, err error) {
			p.Chain, p.Key, err = ca.LeafPEM(domain)
			return p, err
		}, nil
	}
	roots, err := rootsIn(i.cfg.ACMERoots)
	if err != nil {
		return nil, err
	}
	directory := i.cfg.ACMEDirectory
	return acme.New(acme.Config{
		Directory: directory, Email: i.cfg.ACMEEmail, Roots: roots, Challenge: live.Challenge, Version: i.cfg.Version,
		Account: func(ctx context.Context) (key string, err error) {
			err = state.View(ctx, func(tx *store.Tx) error {
				key, err = tx.ACMEAccount(directory)
				return err
			})
			return key, err
		},
		SaveAccount: func(ctx context.Context, key string) error {
			return state.Update(ctx, func(tx *store.Tx) error { return tx.SaveACMEAccount(directory, key) })
		},
	}).Issue, nil
}

// rootsIn reads the certificates that vouch for a private authority; no file
// means the machine's own.
func rootsIn(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("--acme-ca: there is no file %s", file)
	}
	if err != nil {
		return nil, fmt.Errorf("--acme-ca: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("--acme-ca: %s holds no certificate in PEM", file)
	}
	return roots, nil
}
