package controller_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"niwa/platform"
	"niwa/platform/certs"
	"niwa/platform/controller"
	"niwa/platform/pki"
)

// authority signs for every domain, or says what it was told to say.
type authority struct {
	ca *pki.Authority

	mu      sync.Mutex
	refuses error
	asked   int
}

func (a *authority) issue(_ context.Context, domain string) (p certs.Pair, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked++
	if a.refuses != nil {
		return p, a.refuses
	}
	p.Chain, p.Key, err = a.ca.LeafPEM(domain)
	return p, err
}

func (a *authority) says(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.refuses = err
}

func (a *authority) times() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.asked
}

// managed is an app with a domain whose certificates are managed. The
// controller is not started: a test says what time it is.
func managed(t *testing.T) (*fixture, *authority) {
	t.Helper()
	dir := t.TempDir()
	ca, err := pki.Open(filepath.Join(dir, "ca"))
	if err != nil {
		t.Fatal(err)
	}
	live, err := certs.Open(filepath.Join(dir, "certificates"), make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{ca: ca}
	f := open(t, dir, func(c *controller.Config) { c.Certs, c.Issue = live, a.issue })
	if err := f.EnsureAccount(t.Context(), "gardener@localhost", strings.Repeat("t", 40)); err != nil {
		t.Fatal(err)
	}
	f.app(t, "garden")
	if _, err := f.AddDomain(t.Context(), "garden", "www.example.test", ""); err != nil {
		t.Fatal(err)
	}
	if _, err := f.EnableACM(t.Context(), "garden"); err != nil {
		t.Fatal(err)
	}
	return f, a
}

// at has what is due at a time be got, and says how the domain is then.
func (f *fixture) at(t *testing.T, at time.Time) string {
	t.Helper()
	if err := f.IssueCertificates(t.Context(), at); err != nil {
		t.Fatal(err)
	}
	all, err := f.Domains(t.Context(), "garden")
	if err != nil || len(all) != 1 {
		t.Fatalf("%v, %v", all, err)
	}
	reason := ""
	if all[0].ACMStatusReason != nil {
		reason = ": " + *all[0].ACMStatusReason
	}
	if all[0].ACMStatus == nil {
		return "waiting"
	}
	return *all[0].ACMStatus + reason
}

func (f *fixture) shown(host string) (serial string, until time.Time) {
	c, ok := f.Certs.Set().Lookup(host)
	if !ok {
		return "", until
	}
	return c.Leaf.SerialNumber.String(), c.Leaf.NotAfter
}

func TestACertificateIsRenewedAMonthBeforeItEnds(t *testing.T) {
	f, a := managed(t)
	if got := f.at(t, time.Now()); got != platform.ACMIssued {
		t.Fatal(got)
	}
	first, until := f.shown("www.example.test")
	f.at(t, until.Add(-31*24*time.Hour))
	if again, _ := f.shown("www.example.test"); again != first || a.times() != 1 {
		t.Errorf("a month and a day before its end it was replaced")
	}

	// While the authority refuses, the old one is served, and it is tried again.
	late := until.Add(-29 * 24 * time.Hour)
	a.says(platform.Invalid("Come back tomorrow."))
	for day := range 10 {
		if got := f.at(t, late.Add(time.Duration(day)*24*time.Hour)); got != "failing: Come back tomorrow." {
			t.Errorf("day %d: %s", day, got)
		}
	}
	if again, _ := f.shown("www.example.test"); again != first || a.times() != 11 {
		t.Errorf("after %d requests the certificate is another", a.times())
	}
	a.says(nil)
	if got := f.at(t, late.Add(10*24*time.Hour)); got != platform.ACMIssued {
		t.Error(got)
	}
	if second, _ := f.shown("www.example.test"); second == first || second == "" {
		t.Error("it was not replaced")
	}
	if all, err := f.SNIEndpoints(t.Context(), "garden"); err != nil || len(all) != 1 {
		t.Errorf("%d certificates, %v", len(all), err)
	}
}

func TestADomainThatTheAuthorityRefusesIsTriedLessOftenAndThenNotAgain(t *testing.T) {
	f, a := managed(t)
	a.says(platform.Invalid("It leads elsewhere."))
	begun := time.Now()
	var tries []string
	for minute := range 24 * 60 {
		before := a.times()
		status := f.at(t, begun.Add(time.Duration(minute)*time.Minute))
		if a.times() != before {
			tries = append(tries, fmt.Sprint(minute, " ", strings.SplitN(status, ":", 2)[0]))
		}
	}
	if got, want := strings.Join(tries, ", "), "0 failing, 5 failing, 25 failing, 105 failing, 425 failed"; got != want {
		t.Errorf("tried at minutes %s\nwant %s", got, want)
	}
	a.says(nil)
	if _, err := f.RefreshACM(t.Context(), "garden"); err != nil {
		t.Fatal(err)
	}
	if got := f.at(t, begun.Add(24*time.Hour)); got != platform.ACMIssued {
		t.Errorf("after a refresh: %s", got)
	}
}

func TestWhatIsNobodysBusinessIsNotGivenAsTheReason(t *testing.T) {
	f, a := managed(t)
	a.says(errors.New("dial tcp 10.0.0.1: secret"))
	if got := f.at(t, time.Now()); got != "failing: niwa could not get a certificate; its own log says why" {
		t.Error(got)
	}
}

func TestACertificateOfTheAppsOwnIsLeftAlone(t *testing.T) {
	f, a := managed(t)
	f.at(t, time.Now())
	chain, key, err := a.ca.LeafPEM("www.example.test")
	if err != nil {
		t.Fatal(err)
	}
	e, err := f.AddSNIEndpoint(t.Context(), "garden", certs.Pair{Chain: chain, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.SetDomainEndpoint(t.Context(), "garden", "www.example.test", e.Name); err != nil {
		t.Fatal(err)
	}
	own, until := f.shown("www.example.test")
	if got := f.at(t, until); got != "waiting" || a.times() != 1 {
		t.Errorf("%s, asked %d times", got, a.times())
	}
	if again, _ := f.shown("www.example.test"); again != own {
		t.Error("it was replaced")
	}
	if all, err := f.SNIEndpoints(t.Context(), "garden"); err != nil || len(all) != 1 {
		t.Errorf("%d certificates, %v: that of the authority is in nobody's use", len(all), err)
	}
	// The domain has none again: the authority is asked.
	if _, err := f.RemoveSNIEndpoint(t.Context(), "garden", e.Name); err != nil {
		t.Fatal(err)
	}
	if got := f.at(t, time.Now()); got != platform.ACMIssued {
		t.Error(got)
	}
}

func TestAnAppThatIsDestroyedTakesItsDomainsAndCertificatesAlong(t *testing.T) {
	f, _ := managed(t)
	f.at(t, time.Now())
	if _, err := f.DestroyApp(t.Context(), "garden"); err != nil {
		t.Fatal(err)
	}
	if serial, _ := f.shown("www.example.test"); serial != "" {
		t.Error("its certificate is still shown")
	}
	f.app(t, "pond")
	if _, err := f.AddDomain(t.Context(), "pond", "www.example.test", ""); err != nil {
		t.Error(err)
	}
	if app, ok := f.routes.Lookup("www.example.test"); !ok || app.Name != "pond" {
		t.Errorf("the domain leads to %v", app)
	}
}
