package platformtest_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"

	"niwa/platform/acme/acmetest"
	"niwa/platform/platformtest"
	"niwa/platform/platformtest/need"
)

// TestCertificatesWithTheOfficialClient uses every command of certs and those of
// domains that know of certificates, and looks at what a client is shown after.
func TestCertificatesWithTheOfficialClient(t *testing.T) {
	need.Tool(t, "heroku")
	need.Tool(t, "openssl")
	p := platformtest.Up(t, platformtest.Build(t), platformtest.Dir(t))
	if status := p.Call(t, "POST", "/apps", map[string]string{"name": "garden"}, nil); status != 201 {
		t.Fatalf("creating the app: %d", status)
	}
	dir := platformtest.Dir(t)
	heroku := func(command, want string) string {
		t.Helper()
		out, exit := p.Niwa(t, dir, append([]string{"heroku"}, strings.Fields(command)...)...)
		if exit != 0 || !regexp.MustCompile(want).MatchString(out) {
			t.Fatalf("heroku %s: exit status %d; output must match %q:\n%s", command, exit, want, out)
		}
		return out
	}
	shown := func(name, issuer string) {
		t.Helper()
		if got := shownBy(t, p.RouterTLS, name).Issuer.CommonName; got != issuer {
			t.Errorf("%s: the certificate shown is of %q, want %q", name, got, issuer)
		}
	}
	const www, shop, own = "www.example.test", "shop.example.test", "niwa local CA"

	heroku("certs:generate "+www+" --selfsigned --now -a garden", `heroku certs:add www.example.test.crt www.example.test.key`)
	heroku("domains:add "+www+" -a garden", `DNS Target garden.localhost`)
	certsAdd(t, p, dir, www)
	name := regexp.MustCompile(`[a-z]+-\d{5}`).FindString(heroku("certs -a garden", `[a-z]+-\d{5}\s+www.example.test\s+\S+ \S+ UTC\s+False\s+SNI\s+1`))
	heroku("certs:info --show-domains -a garden", `(?s)Common Name\(s\): www.example.test.*Domain\(s\): +www.example.test.*self signed`)
	shown(www, www)
	if status, host := visited(t, p.RouterTLS, www); status != http.StatusBadGateway {
		t.Errorf("the domain leads to %d, not to the app that has nothing to run: %s", status, host)
	}

	heroku("domains:add "+shop+" --cert "+name+" -a garden", `garden.localhost`)
	shown(shop, www)
	heroku("domains -a garden", `(?s)shop.example.test.*`+name)
	heroku("domains:update "+shop+" --cert "+name+" -a garden", `done`)
	heroku("certs:generate "+shop+" --selfsigned --now -a garden", `heroku certs:add`)
	heroku("certs:update shop.example.test.crt shop.example.test.key --confirm garden -a garden", `Updated certificate details`)
	shown(www, shop)
	heroku("certs:remove --confirm garden -a garden", `done`)
	shown(www, own) // that of loopback

	heroku("certs:auto:enable -a garden", `Check the status by running`)
	platformtest.Await(t, "certificates of niwa's own", func() (string, bool) {
		a, b := shownBy(t, p.RouterTLS, www), shownBy(t, p.RouterTLS, shop)
		return a.Subject.String() + b.Subject.String(), a.VerifyHostname(www) == nil && b.VerifyHostname(shop) == nil
	})
	heroku("certs:auto -a garden", `(?s)enabled.*(example.test\s+Cert issued.*){2}`)
	heroku("certs:auto:refresh -a garden", `done`)

	heroku("certs:auto:disable --confirm garden -a garden", `done`)
	heroku("certs -a garden", `has no SSL certificates`)
	heroku("domains:clear -a garden", `done`)
	if status, body := visited(t, p.RouterTLS, www); status != http.StatusNotFound {
		t.Errorf("a domain that was removed leads to %d: %s", status, body)
	}
}

// certsAdd runs certs:add at a terminal, where the client asks which domains
// are to have the certificate, and chooses the only one.
func certsAdd(t *testing.T, p *platformtest.Program, dir, domain string) {
	t.Helper()
	cmd := p.Command(t, dir, "heroku", "certs:add", domain+".crt", domain+".key", "-a", "garden")
	terminal, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 40, Cols: 120})
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	var said strings.Builder
	buffer := make([]byte, 4096)
	for sent := false; ; {
		n, err := terminal.Read(buffer)
		said.Write(buffer[:n])
		if !sent && strings.Contains(said.String(), "Select domains") {
			sent = true
			fmt.Fprint(terminal, " \r")
		}
		if err != nil {
			break
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("certs:add: %v\n%s", err, &said)
	}
}

// secure is a client of a router's TLS port, whatever host it asks for.
func secure(router string) *http.Client {
	return &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true, ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, strings.TrimPrefix(router, "https://"))
		},
	}}
}

func visited(t *testing.T, router, host string) (status int, body string) {
	t.Helper()
	resp, err := secure(router).Get("https://" + host + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// shownBy is the certificate that a router shows a client that names a host.
func shownBy(t *testing.T, router, name string) *x509.Certificate {
	t.Helper()
	c, err := tls.Dial("tcp", strings.TrimPrefix(router, "https://"), &tls.Config{ServerName: name, InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.ConnectionState().PeerCertificates[0]
}

// TestARouterAloneShowsWhatAnAuthorityIssued has a real authority look at a
// router that runs apart from the platform, whose end then changes nothing.
func TestARouterAloneShowsWhatAnAuthorityIssued(t *testing.T) {
	binary, data := platformtest.Build(t), platformtest.Dir(t)
	https := freeAddress(t)
	authority := acmetest.Start(t, acmetest.Port(t, https))
	p := platformtest.Up(t, binary, data, "--no-router", "--router", freeAddress(t), "--router-tls", https,
		"--acme-directory", authority.Directory, "--acme-ca", authority.Roots, "--acme-email", "gardener@example.test")
	startAlone(t, p)
	const www = "www.example.test"
	if status := p.Call(t, "POST", "/apps", map[string]string{"name": "garden"}, nil); status != 201 {
		t.Fatalf("creating the app: %d", status)
	}
	for _, host := range []string{www, acmetest.Blocked} {
		if status := p.Call(t, "POST", "/apps/garden/domains", map[string]any{"hostname": host, "sni_endpoint": nil}, nil); status != 201 {
			t.Fatalf("%s: %d", host, status)
		}
	}
	if status := p.Call(t, "POST", "/apps/garden/acm", nil, nil); status != 200 {
		t.Fatalf("turning ACM on: %d", status)
	}
	platformtest.Await(t, "what the authority says", func() (string, bool) {
		var domains []struct {
			Hostname string
			Status   string `json:"acm_status"`
			Reason   string `json:"acm_status_reason"`
		}
		p.Call(t, "GET", "/apps/garden/domains", nil, &domains)
		seen := fmt.Sprint(domains)
		return seen, strings.Contains(seen, www+" cert issued") && regexp.MustCompile(acmetest.Blocked+` failing The certificate authority refused .*[a-z]`).MatchString(seen)
	})
	var leaf *x509.Certificate
	platformtest.Await(t, "the certificate", func() (string, bool) {
		leaf = shownBy(t, p.RouterTLS, www)
		return leaf.Issuer.String(), strings.Contains(leaf.Issuer.String(), "Pebble")
	})
	for _, name := range []string{"certificates", "niwa.db", "niwa.db-wal"} {
		if out, err := exec.Command("grep", "-c", "PRIVATE KEY", filepath.Join(data, name)).CombinedOutput(); err == nil {
			t.Errorf("%s has a private key that can be read: %s", name, out)
		}
	}
	p.Kill(t)
	if again := shownBy(t, p.RouterTLS, www); !again.Equal(leaf) {
		t.Errorf("without the platform the router shows %v", again.Subject)
	}
}
