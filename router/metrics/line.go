package metrics

import (
	"strconv"
	"strings"
	"time"

	"niwa/router/route"
)

// Logged counts a request that another router has ended, by its log line, which
// says to the millisecond how long it took and nothing of what the client sent.
// It is for the history alone: Prometheus asks that router itself.
func (m *Metrics) Logged(app *route.App, line string) {
	r := Request{Policy: app.Routing.Policy, Connect: -1, Service: -1}
	milliseconds := func(s string) time.Duration {
		n, err := strconv.ParseInt(strings.TrimSuffix(s, "ms"), 10, 64)
		if err != nil {
			return -1
		}
		return time.Duration(n) * time.Millisecond
	}
	for line != "" {
		var name, value string
		name, value, line = field(line)
		switch name {
		case "code":
			r.Code = value
		case "dyno":
			r.Dyno = value
		case "connect":
			r.Connect = milliseconds(value)
		case "service":
			r.Service = milliseconds(value)
		case "status":
			r.Status, _ = strconv.Atoi(value)
		case "bytes":
			r.Out, _ = strconv.ParseInt(value, 10, 64)
		}
	}
	m.App(app.ID, app.Name).count(r)
}

// field cuts the first name=value or name="value" off a line. What is in quotes
// is the client's, and may look like more fields.
func field(line string) (name, value, rest string) {
	name, rest, _ = strings.Cut(line, "=")
	if quoted, err := strconv.QuotedPrefix(rest); err == nil && strings.HasPrefix(rest, `"`) {
		return name, quoted, strings.TrimPrefix(rest[len(quoted):], " ")
	}
	value, rest, _ = strings.Cut(rest, " ")
	return name, value, rest
}
