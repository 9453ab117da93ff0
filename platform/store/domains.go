package store

import (
	"errors"

	"niwa/platform"
)

// Domains lists an app's domains by host name.
func (tx *Tx) Domains(appID string) ([]platform.Domain, error) {
	return many[platform.Domain](tx, "hostname", "app_id = ?", appID)
}

// AllDomains lists the domains of all apps.
func (tx *Tx) AllDomains() ([]platform.Domain, error) {
	return many[platform.Domain](tx, "hostname", "1 = 1")
}

// Domain finds a domain of an app by host name or id.
func (tx *Tx) Domain(appID, hostnameOrID string) (platform.Domain, error) {
	return one[platform.Domain](tx, "domain", "app_id = ? AND (hostname = ? OR id = ?)", appID, hostnameOrID, hostnameOrID)
}

// InsertDomain adds a domain, unless an app has it.
func (tx *Tx) InsertDomain(d platform.Domain) error {
	return tx.insert(&d, platform.Invalid("%s is currently in use by another app.", d.Hostname))
}

// SaveDomain writes back a domain.
func (tx *Tx) SaveDomain(d platform.Domain) error { return tx.save(&d, nil) }

// DeleteDomain removes a domain.
func (tx *Tx) DeleteDomain(id string) error { return drop[platform.Domain](tx, "id = ?", id) }

// SNIEndpoints lists an app's certificates, oldest first.
func (tx *Tx) SNIEndpoints(appID string) ([]platform.SNIEndpoint, error) {
	return many[platform.SNIEndpoint](tx, "created_at, id", "app_id = ?", appID)
}

// AllSNIEndpoints lists the certificates of all apps.
func (tx *Tx) AllSNIEndpoints() ([]platform.SNIEndpoint, error) {
	return many[platform.SNIEndpoint](tx, "id", "1 = 1")
}

// SNIEndpoint finds a certificate of an app by name or id.
func (tx *Tx) SNIEndpoint(appID, nameOrID string) (platform.SNIEndpoint, error) {
	return one[platform.SNIEndpoint](tx, "sni_endpoint", "app_id = ? AND (name = ? OR id = ?)", appID, nameOrID, nameOrID)
}

// SNIEndpointNamed says whether any app has a certificate of that name.
func (tx *Tx) SNIEndpointNamed(name string) (bool, error) {
	all, err := many[platform.SNIEndpoint](tx, "id", "name = ?", name)
	return len(all) > 0, err
}

// privateKey is the one config var of a secret that is a key.
const privateKey = "PRIVATE_KEY"

// InsertSNIEndpoint adds a certificate with its key.
func (tx *Tx) InsertSNIEndpoint(e platform.SNIEndpoint, key string) error {
	if err := tx.insert(&e, nil); err != nil {
		return err
	}
	return tx.putSecret(e.AppID, "sni-endpoint", e.ID, platform.Config{privateKey: key})
}

// SaveSNIEndpoint writes back a certificate with its new key.
func (tx *Tx) SaveSNIEndpoint(e platform.SNIEndpoint, key string) error {
	if err := tx.save(&e, nil); err != nil {
		return err
	}
	return tx.putSecret(e.AppID, "sni-endpoint", e.ID, platform.Config{privateKey: key})
}

// SNIEndpointKey is the private key of a certificate, in PEM.
func (tx *Tx) SNIEndpointKey(id string) (string, error) {
	config, err := tx.secret("sni-endpoint", id)
	return config[privateKey], err
}

// DeleteSNIEndpoint removes a certificate, its key, and that domains have it.
func (tx *Tx) DeleteSNIEndpoint(id string) error {
	if err := drop[secret](tx, "kind = 'sni-endpoint' AND owner = ?", id); err != nil {
		return err
	}
	return drop[platform.SNIEndpoint](tx, "id = ?", id)
}

// ACMEAccount is the key under which a certificate authority knows niwa, in
// PEM; empty when it does not yet.
func (tx *Tx) ACMEAccount(directory string) (string, error) {
	config, err := tx.secret("acme-account", directory)
	if e, ok := errors.AsType[*platform.Error](err); ok && e.ID == platform.NotFound {
		return "", nil
	}
	return config[privateKey], err
}

// SaveACMEAccount keeps the key of an account.
func (tx *Tx) SaveACMEAccount(directory, key string) error {
	return tx.putSecret("", "acme-account", directory, platform.Config{privateKey: key})
}
