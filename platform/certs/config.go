package certs

import "crypto/tls"

// challengeProtocol is what a certificate authority asks for when it looks
// whether a domain is here (RFC 8737).
const challengeProtocol = "acme-tls/1"

// ServerConfig is for a TLS listener: it shows a client the certificate of the
// app's that it names, and every other client what own has for it.
func (l *Live) ServerConfig(own *tls.Config) *tls.Config {
	config := own.Clone()
	config.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		if c, ok := l.Set().Lookup(hello.ServerName); ok {
			return c, nil
		}
		return own.GetCertificate(hello)
	}
	config.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if len(hello.SupportedProtos) != 1 || hello.SupportedProtos[0] != challengeProtocol {
			return nil, nil // the usual one
		}
		c, ok := l.Set().challenges[hello.ServerName]
		if !ok {
			return nil, nil
		}
		return &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{challengeProtocol}, Certificates: []tls.Certificate{*c}}, nil
	}
	return config
}
