package platformtest_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"regexp"
	"strings"
	"testing"

	"niwa/platform/platformtest"
	"niwa/platform/platformtest/need"
)

// visitor is a client of the site, with cookies of its own.
type visitor struct {
	*http.Client
	site *site
}

func (s *site) visitor(t testing.TB) *visitor {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &visitor{&http.Client{Jar: jar, Transport: &http.Transport{}}, s}
}

// served is which dyno serves the visitor.
func (v *visitor) served(t testing.TB) string {
	t.Helper()
	req, err := http.NewRequest("GET", v.site.Router+"/?visit", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = siteName + "." + v.site.Domain
	resp, err := v.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != http.StatusOK || string(body) != "visit" {
		t.Fatalf("the site answers %s, %q, %v", resp.Status, body, err)
	}
	return resp.Header.Get("Version")
}

// share is how many of n visits each dyno serves.
func (v *visitor) share(t testing.TB, n int) map[string]int {
	t.Helper()
	shares := map[string]int{}
	for range n {
		shares[v.served(t)]++
	}
	return shares
}

// routing runs niwa routing, whose output has to match.
func (s *site) routing(t testing.TB, args, want string) {
	t.Helper()
	out, status := s.Niwa(t, s.Data, append([]string{"routing", siteName}, strings.Fields(args)...)...)
	if status != 0 || !regexp.MustCompile(want).MatchString(out) {
		t.Fatalf("niwa routing %s: exit status %d, output must match %q:\n%s", args, status, want, out)
	}
}

func TestRoutingIsChosenWhileTheAppServes(t *testing.T) {
	need.Tool(t, "git")
	s := &site{App: platformtest.Up(t, platformtest.Build(t), platformtest.Dir(t)).Create(t, siteName)}
	static(t, "echo", s.Dir)
	s.Write(t, "Procfile", "web: exec ./echo --version $DYNO\n")
	s.Push(t)
	s.Scale(t, "web", 2)
	s.Settled(t, 2)
	v := s.visitor(t)

	s.routing(t, "", `^random\n\nDYNO   WEIGHT  IN FLIGHT\nweb\.1  1       0\nweb\.2  1       0\n$`)
	s.routing(t, "--weight web.1=9", `^random\n(?s).*web\.1 +9.*web\.2 +1`)
	const visits = 500 // nine of ten, give or take five standard deviations of 6.7
	if shares := v.share(t, visits); shares["web.1"] < 450-34 || shares["web.1"] > 450+34 {
		t.Errorf("random, weights 9 and 1: %v", shares)
	}
	s.routing(t, "round-robin", `^round-robin\n(?s).*web\.1 +9.*web\.2 +1`)
	if shares := fmt.Sprint(v.share(t, visits)); shares != "map[web.1:450 web.2:50]" {
		t.Errorf("round robin, weights 9 and 1: %v", shares)
	}
	s.routing(t, "least-outstanding --weight web.1=0,web.2=1", `^least-outstanding\n(?s).*web\.1 +0`)
	if shares := fmt.Sprint(v.share(t, 50)); shares != "map[web.2:50]" {
		t.Errorf("least outstanding, weights 0 and 1: %v", shares)
	}

	s.Do(t, "PATCH", s.Path()+"/features/http-session-affinity", map[string]any{"enabled": true})
	stays := s.visitor(t)
	stays.share(t, 1)
	s.routing(t, "round-robin --weight web.1=1", `^round-robin\n`)
	if shares := fmt.Sprint(stays.share(t, 50)); shares != "map[web.2:50]" {
		t.Errorf("who is kept with web.2 gets %s", shares)
	}
	if shares := s.visitor(t).share(t, 50); len(shares) != 1 {
		t.Errorf("another visitor is kept with %v", shares)
	}
	s.Scale(t, "web", 1)
	s.Settled(t, 1)
	if shares := fmt.Sprint(stays.share(t, 20)); shares != "map[web.1:20]" {
		t.Errorf("when web.2 is gone its visitor gets %s", shares)
	}
	s.Scale(t, "web", 2)
	s.Settled(t, 2)
	if shares := fmt.Sprint(stays.share(t, 20)); shares != "map[web.1:20]" {
		t.Errorf("when web.2 is back the visitor that was its gets %s", shares)
	}
}
