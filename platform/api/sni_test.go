package api

import (
	"context"
	"crypto/x509"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"niwa/platform"
	"niwa/platform/certs"
)

// issue is an authority that takes every name but those below refused.test.
func (s *site) issue(_ context.Context, hostname string) (certs.Pair, error) {
	if strings.HasSuffix(hostname, ".refused.test") {
		return certs.Pair{}, platform.Invalid("%s leads nowhere.", hostname)
	}
	return s.pair(hostname), nil
}

func (s *site) pair(hosts ...string) certs.Pair {
	chain, key, err := s.ca.LeafPEM(hosts...)
	if err != nil {
		s.t.Error(err)
	}
	return certs.Pair{Chain: chain, Key: key}
}

func upload(p certs.Pair) map[string]any {
	return map[string]any{"certificate_chain": p.Chain, "private_key": p.Key}
}

// shown is the certificate that a client which names a host is shown, nil for
// none of an app's.
func (s *site) shown(name string) *x509.Certificate {
	c, ok := s.certs.Set().Lookup(name)
	if !ok {
		return nil
	}
	return c.Leaf
}

func TestACertificateIsAddedShownReplacedAndRemoved(t *testing.T) {
	t.Parallel()
	s := open(t)
	s.app("garden")
	first := s.pair("www.example.test", "*.example.test")
	made := s.do("POST", "/apps/garden/sni-endpoints", upload(first)).want(201)
	name := made.text("name")
	want := map[string]any{"cert_domains": []any{"www.example.test", "*.example.test"}, "issuer": "/CN=niwa local CA", "subject": "/CN=www.example.test",
		"ca_signed?": false, "self_signed?": false, "acm": false}
	got := made.at("ssl_cert").(map[string]any)
	for field, value := range want {
		if diff := cmp.Diff(value, got[field]); diff != "" {
			t.Errorf("%s: %s", field, diff)
		}
	}
	for _, host := range []string{"www.example.test", "*.example.test", "www.example.com"} {
		s.do("POST", "/apps/garden/domains", map[string]any{"hostname": host, "sni_endpoint": nil}).want(201)
	}
	if endpoint := s.do("GET", "/apps/garden/domains/www.example.com", nil).want(200).at("sni_endpoint"); endpoint != nil {
		t.Errorf("a domain that the certificate is not for has it: %v", endpoint)
	}
	if domains := s.do("GET", "/apps/garden/sni-endpoints/"+name, nil).want(200).at("domains"); len(domains.([]any)) != 2 {
		t.Errorf("the domains that the certificate is for are %v", domains)
	}
	for server, served := range map[string]bool{"www.example.test": true, "WWW.example.test.": true, "a.example.test": true, "a.b.example.test": false, "example.test": false, "www.example.com": false} {
		if got := s.shown(server) != nil; got != served {
			t.Errorf("%s is shown a certificate: %v", server, got)
		}
	}

	second := s.pair("www.example.test")
	s.do("PATCH", "/apps/garden/sni-endpoints/"+name, upload(second)).want(200)
	if leaf := s.shown("a.example.test"); leaf == nil || len(leaf.DNSNames) != 1 {
		t.Errorf("after the update a client is shown %v", leaf)
	}
	s.do("PATCH", "/apps/garden/domains/www.example.test", map[string]any{"sni_endpoint": nil}).want(200)
	s.do("PATCH", "/apps/garden/domains/www.example.com", map[string]any{"sni_endpoint": made.text("id")}).want(200)
	if s.shown("www.example.com") == nil {
		t.Error("a domain is not served with the certificate it was given")
	}
	s.do("DELETE", "/apps/garden/sni-endpoints/"+name, nil).want(200)
	if s.shown("www.example.com") != nil || s.do("GET", "/apps/garden/domains/www.example.com", nil).want(200).at("sni_endpoint") != nil {
		t.Error("a certificate that was removed is still there")
	}
	s.do("GET", "/apps/garden/sni-endpoints/"+name, nil).fails(404, map[string]any{"id": "not_found", "resource": "sni_endpoint"})
}

func TestAPrivateKeyIsInNoAnswerAndNoLog(t *testing.T) {
	t.Parallel()
	s := open(t)
	s.app("garden")
	p := s.pair("www.example.test")
	line := strings.Split(p.Key, "\n")[1]
	other := s.pair("other.example.test")
	endpoints := "/apps/garden/sni-endpoints"
	for _, a := range []answer{
		s.do("POST", endpoints, upload(p)), s.do("GET", endpoints, nil),
		s.do("POST", endpoints, upload(certs.Pair{Chain: other.Chain, Key: p.Key})),
		s.do("POST", endpoints, upload(certs.Pair{Chain: p.Key, Key: p.Key})),
		s.do("POST", endpoints, upload(certs.Pair{Chain: p.Chain, Key: strings.Replace(p.Key, line[:8], line[8:16], 1)})),
	} {
		if strings.Contains(string(a.body), line[8:40]) {
			t.Errorf("%s: %s", a.what, a.body)
		}
	}
	if strings.Contains(s.log.String(), line[8:40]) {
		t.Error("the key is in the log")
	}
}

func TestDomainsAreRefused(t *testing.T) {
	t.Parallel()
	s := open(t)
	s.app("garden")
	s.app("pond")
	s.do("POST", "/apps/pond/domains", map[string]any{"hostname": "taken.example.test", "sni_endpoint": nil}).want(201)
	for _, host := range []string{
		"", "example", "-a.test", "a..test", "a.test:80", "http://a.test", "*", "*.", "a.*.test", "192.0.2.1", "ä.test", "a_b.test", "localhost", "pond.localhost", "taken.example.test",
		strings.Repeat("a", 64) + ".test", strings.Repeat("a.", 150) + "test",
	} {
		s.do("POST", "/apps/garden/domains", map[string]any{"hostname": host, "sni_endpoint": nil}).fails(422, map[string]any{"id": "invalid_params"})
	}
	s.do("POST", "/apps/garden/domains", map[string]any{"hostname": "WWW.Garden.localhost", "sni_endpoint": nil}).want(201)
	s.do("POST", "/apps/garden/domains", map[string]any{"hostname": "www.garden.localhost", "sni_endpoint": nil}).fails(422, map[string]any{"id": "invalid_params"})
	s.do("POST", "/apps/garden/domains", map[string]any{"hostname": "a.example.test", "sni_endpoint": "none"}).fails(404, map[string]any{"resource": "sni_endpoint"})
	s.do("DELETE", "/apps/garden/domains/garden.localhost", nil).fails(422, map[string]any{"id": "invalid_params"})
	s.do("DELETE", "/apps/garden/domains/www.garden.localhost", nil).want(200)
	if hosts := s.do("GET", "/apps/garden/domains", nil).want(200).names("hostname"); len(hosts) != 1 {
		t.Errorf("the domains are %v", hosts)
	}
}

func TestACMGetsCertificatesAndSaysWhyItDidNot(t *testing.T) {
	t.Parallel()
	s := open(t)
	s.app("garden")
	status := func(host, want string) answer {
		return s.until("/apps/garden/domains/"+host, func(a answer) bool { return a.at("acm_status") == want })
	}
	for _, host := range []string{"www.example.test", "a.refused.test"} {
		s.do("POST", "/apps/garden/domains", map[string]any{"hostname": host, "sni_endpoint": nil}).want(201)
	}
	s.do("PATCH", "/apps/garden/acm", map[string]any{"acm_refresh": true}).fails(422, map[string]any{"id": "invalid_params"})
	if s.do("POST", "/apps/garden/acm", map[string]any{}).want(200).at("acm") != true {
		t.Error("it is not enabled")
	}
	status("www.example.test", platform.ACMIssued)
	if got := status("a.refused.test", platform.ACMFailing).text("acm_status_reason"); got != "a.refused.test leads nowhere." {
		t.Errorf("the reason is %q", got)
	}
	s.do("POST", "/apps/garden/domains", map[string]any{"hostname": "late.example.test", "sni_endpoint": nil}).want(201)
	status("late.example.test", platform.ACMIssued)
	// It is written down before it is shown.
	s.until("/apps/garden", func(answer) bool { return s.shown("www.example.test") != nil && s.shown("late.example.test") != nil })
	if s.shown("a.refused.test") != nil {
		t.Error("what was refused is shown")
	}
	endpoints := s.do("GET", "/apps/garden/sni-endpoints", nil).want(200)
	if endpoints.at(0, "ssl_cert", "acm") != true || len(endpoints.names("name")) != 2 {
		t.Errorf("certificates: %s", endpoints.body)
	}
	s.do("PATCH", "/apps/garden/acm", map[string]any{"acm_refresh": true}).want(200)
	// What was got for one domain is no other's.
	theirs := map[string]any{"hostname": "more.example.test", "sni_endpoint": endpoints.text(0, "name")}
	s.do("POST", "/apps/garden/domains", theirs).fails(422, map[string]any{"id": "invalid_params"})
	delete(theirs, "hostname")
	s.do("PATCH", "/apps/garden/domains/a.refused.test", theirs).fails(422, map[string]any{"id": "invalid_params"})

	// The way out of it that leaves no gap.
	own := s.pair("*.example.test")
	s.do("PATCH", "/apps/garden/sni-endpoints/"+endpoints.text(0, "name"), upload(own)).want(200)
	for _, host := range []string{"www.example.test", "late.example.test"} {
		if leaf := s.shown(host); leaf == nil || leaf.DNSNames[0] != "*.example.test" {
			t.Errorf("%s is shown %v", host, leaf)
		}
	}
	if left := s.do("GET", "/apps/garden/sni-endpoints", nil).want(200).names("name"); len(left) != 1 || s.do("GET", "/apps/garden", nil).at("acm") != false {
		t.Errorf("certificates after it: %v", left)
	}

	s.do("POST", "/apps/garden/acm", nil).want(200)
	s.do("DELETE", "/apps/garden/acm", nil).want(200)
	if s.do("GET", "/apps/garden/domains/a.refused.test", nil).at("acm_status") != nil || s.shown("www.example.test") == nil {
		t.Error("turned off, it has something to say, or has taken the app's own certificate away")
	}
}
