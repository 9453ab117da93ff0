package api

import (
	"slices"

	"niwa/platform"
	"niwa/platform/certs"
)

// sniEndpointJSON shows a certificate. Its private key is in no answer.
type sniEndpointJSON struct {
	ID               string   `json:"id"`
	App              named    `json:"app"`
	Name             string   `json:"name"`
	DisplayName      *string  `json:"display_name"`
	CertificateChain string   `json:"certificate_chain"`
	Domains          []string `json:"domains"`
	SSLCert          sslCert  `json:"ssl_cert"`
	CreatedAt        string   `json:"created_at"`
	UpdatedAt        string   `json:"updated_at"`
}

// sslCert is what is to be read in a certificate. The names with question
// marks are Heroku's.
type sslCert struct {
	ID          string   `json:"id"`
	CertDomains []string `json:"cert_domains"`
	Issuer      string   `json:"issuer"`
	Subject     string   `json:"subject"`
	StartsAt    string   `json:"starts_at"`
	ExpiresAt   string   `json:"expires_at"`
	CASigned    bool     `json:"ca_signed?"`
	SelfSigned  bool     `json:"self_signed?"`

	// Not in the published schema, but read by the official CLI.
	ACM bool `json:"acm"`
}

func (c *call) encodeSNI(e platform.SNIEndpoint) (any, error) {
	app, err := c.appOf(e.AppID)
	if err != nil {
		return nil, err
	}
	domains, err := c.api.Controller.Domains(c.ctx, e.AppID)
	if err != nil {
		return nil, err
	}
	ids := []string{}
	for _, d := range domains {
		if d.SNIEndpointID != nil && *d.SNIEndpointID == e.ID {
			ids = append(ids, d.ID)
		}
	}
	leaf, err := certs.Read(e.CertificateChain)
	if err != nil {
		return nil, err
	}
	return sniEndpointJSON{
		ID: e.ID, App: appRef(app), Name: e.Name, CertificateChain: e.CertificateChain, Domains: ids,
		SSLCert: sslCert{
			ID: stableID("ssl-certs", e.ID+e.CertificateChain), CertDomains: certs.Names(leaf), ACM: e.ACM,
			Issuer: certs.Slashed(leaf.Issuer), Subject: certs.Slashed(leaf.Subject),
			StartsAt: stamp(leaf.NotBefore), ExpiresAt: stamp(leaf.NotAfter),
			CASigned: certs.Trusted(e.CertificateChain), SelfSigned: slices.Equal(leaf.RawIssuer, leaf.RawSubject),
		},
		CreatedAt: stamp(e.CreatedAt), UpdatedAt: stamp(e.UpdatedAt),
	}, nil
}

func (a *API) sniList(c *call) (any, error) {
	all, err := a.Controller.SNIEndpoints(c.ctx, c.param("app"))
	if err != nil {
		return nil, err
	}
	return paged(c, all, c.encodeSNI,
		key[platform.SNIEndpoint]{"name", func(e platform.SNIEndpoint) string { return e.Name }},
		key[platform.SNIEndpoint]{"id", func(e platform.SNIEndpoint) string { return e.ID }})
}

func (a *API) sniInfo(c *call) (any, error) {
	all, err := a.Controller.SNIEndpoints(c.ctx, c.param("app"))
	if err != nil {
		return nil, err
	}
	for _, e := range all {
		if asked := c.param("endpoint"); asked == e.ID || asked == e.Name {
			return c.encodeSNI(e)
		}
	}
	return nil, platform.Missing("sni_endpoint")
}

// decodePair reads an upload. What does not fit says which field it is, and
// nothing of what is in it.
func (c *call) decodePair() (p certs.Pair, err error) {
	var in struct {
		CertificateChain string `json:"certificate_chain"`
		PrivateKey       string `json:"private_key"`
	}
	if err := c.decode(&in); err != nil {
		return p, err
	}
	switch {
	case in.CertificateChain == "":
		return p, required("certificate_chain")
	case in.PrivateKey == "":
		return p, required("private_key")
	}
	return certs.Pair{Chain: in.CertificateChain, Key: in.PrivateKey}, nil
}

func (a *API) sniCreate(c *call) (any, error) {
	p, err := c.decodePair()
	if err != nil {
		return nil, err
	}
	e, err := a.Controller.AddSNIEndpoint(c.ctx, c.param("app"), p)
	if err != nil {
		return nil, err
	}
	return c.encodeSNI(e)
}

func (a *API) sniUpdate(c *call) (any, error) {
	p, err := c.decodePair()
	if err != nil {
		return nil, err
	}
	e, err := a.Controller.UpdateSNIEndpoint(c.ctx, c.param("app"), c.param("endpoint"), p)
	if err != nil {
		return nil, err
	}
	return c.encodeSNI(e)
}

func (a *API) sniDelete(c *call) (any, error) {
	e, err := a.Controller.RemoveSNIEndpoint(c.ctx, c.param("app"), c.param("endpoint"))
	if err != nil {
		return nil, err
	}
	return c.encodeSNI(e)
}
