package platformtest_test

import (
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"niwa/platform/platformtest"
	"niwa/platform/platformtest/need"
)

// scraped is what Prometheus reads at the address that a command's output has.
func scraped(t testing.TB, output string) string {
	t.Helper()
	resp, err := http.Get(regexp.MustCompile(`http://127\.0\.0\.1:\d+/metrics`).FindString(output))
	if err != nil {
		t.Fatalf("%v, in\n%s", err, output)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// blank asks an app to which nothing was deployed, and waits until the platform
// has counted that.
func blank(t testing.TB, a *platformtest.App) {
	t.Helper()
	platformtest.Await(t, "the app to be known to the router", func() (string, bool) {
		resp, _, err := a.Get(a.Name, "/")
		return fmt.Sprint(resp, err), err == nil && resp.StatusCode == http.StatusBadGateway
	})
	platformtest.Await(t, "the request to be counted", func() (string, bool) {
		var errors struct{ Data map[string][]float64 }
		a.Call(t, "GET", a.Path()+"/router-metrics/errors?step=1h", nil, &errors)
		sum := 0.0
		for _, n := range errors.Data["H81"] {
			sum += n
		}
		return fmt.Sprint(errors.Data), sum == 1
	})
}

const blankCount = `niwa_router_requests_total{app="garden",code="H81",dyno="",policy="random",status="5xx"} 1`

func TestWhatTheRouterCountsIsReadByPrometheusAndByTheOfficialClient(t *testing.T) {
	need.Tool(t, "heroku")
	p := platformtest.Up(t, platformtest.Build(t), platformtest.Dir(t), "--runtime", "process")
	garden := p.Create(t, "garden")
	blank(t, garden)
	out, _ := p.Niwa(t, p.Data, "status")
	if text := scraped(t, out); !strings.Contains(text, blankCount) || !strings.Contains(text, "niwa_build_info") || !strings.Contains(text, "go_goroutines") {
		t.Errorf("Prometheus reads\n%s", text)
	}
	if out, status := p.Niwa(t, p.Data, "heroku", "apps:errors", "--router", "-a", "garden"); status != 0 || !regexp.MustCompile(`router\s+H81\s+info\s+.*\s1\b`).MatchString(out) {
		t.Errorf("exit status %d: %s", status, out)
	}
}

func TestWhatARouterAloneHasServedIsInTheHistoryOfThePlatform(t *testing.T) {
	binary, data := platformtest.Build(t), platformtest.Dir(t)
	p := platformtest.Up(t, binary, data, "--runtime", "process", "--no-router", "--router", freeAddress(t), "--router-tls", freeAddress(t))
	startAlone(t, p)
	blank(t, p.Create(t, "garden"))
	out, _ := p.Niwa(t, p.Data, "status")
	if strings.Contains(out, "\nmetrics ") {
		t.Errorf("a platform without a router has metrics of one:\n%s", out)
	}
	if text := scraped(t, out); !strings.Contains(text, blankCount) {
		t.Errorf("Prometheus reads\n%s", text)
	}
}
