package apptest

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// metrics tests that what was asked for is counted.
func (c *client) metrics(t *testing.T, cached bool) {
	user := c.create(t, "Ada")
	want := []string{
		`http_requests_total{method="GET",route="/users/{id}",status="200"}`,
		`http_request_duration_seconds_bucket{le="+Inf",method="GET",route="/users/{id}"}`,
		`http_request_duration_seconds_sum{method="GET",route="/users/{id}"}`,
		`http_request_duration_seconds_count{method="GET",route="/users/{id}"}`,
		`outbox_events`,
	}
	if cached {
		want = append(want, `cache_reads_total{result="hit"}`)
	}
	// The next may come to another process, which counts for itself.
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		c.wantUser(t, http.StatusOK, "GET", path(user), "")
		a := c.want(t, http.StatusOK, "GET", "/metrics", "")
		there := samples(string(a.body))
		missing := slices.DeleteFunc(slices.Clone(want), func(name string) bool { return slices.Contains(there, name) })
		if len(missing) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("GET /metrics has no %s:\n%s", missing, a.body)
		}
	}
}

// samples lists what has a number, with its labels in the order of the
// alphabet.
func samples(text string) (names []string) {
	for _, m := range regexp.MustCompile(`(?m)^([a-z_]+)({.*})? [0-9].*$`).FindAllStringSubmatch(text, -1) {
		name := m[1]
		if m[2] != "" {
			labels := regexp.MustCompile(`[a-z_]+="[^"]*"`).FindAllString(m[2], -1)
			slices.Sort(labels)
			name += "{" + strings.Join(labels, ",") + "}"
		}
		names = append(names, name)
	}
	return names
}
