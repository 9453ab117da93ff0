package api

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
)

// target is an app with one of everything, by the name of the parameter that
// addresses call it.
func (s *site) target(n int) map[string]string {
	s.t.Helper()
	app := fmt.Sprintf("garden-%d", n)
	s.app(app)
	slug := s.deploy(app, map[string]string{"web": "serve"})
	addon := s.addon(app, essential).text("name")
	token := s.do("POST", "/oauth/authorizations", nil).want(201)
	return map[string]string{
		"app": app, "user": "~", "release": "1", "slug": slug.ID, "type": "web", "dyno": "web.1", "addon": addon, "database": addon,
		"attachment": s.do("GET", "/apps/"+app+"/addon-attachments", nil).want(200).text(0, "id"), "authorization": token.text("id"),
		"service": "heroku-redis", "plan": essential, "region": "us", "stack": "heroku-24", "generation": "cedar", "size": "eco",
		"domain": app + ".localhost", "endpoint": "none", "credential": "default", "build": "none", "feature": "none", "session": "~", "team": "none",
	}
}

// address fills the parameters of a route in.
func address(path string, params map[string]string) string {
	parts := strings.Split(path, "/")
	for i, p := range parts {
		if name, ok := strings.CutPrefix(p, ":"); ok {
			parts[i] = params[name]
		}
	}
	return strings.Join(parts, "/")
}

func hostileBodies() map[string]string {
	long := strings.Repeat("x", 100_000)
	every := func(value string) string {
		var fields []string
		for _, f := range []string{"name", "plan", "command", "updates", "slug", "release", "addon", "app", "addon_attachment", "source_blob", "lines", "env", "hostname", "certificate_chain", "private_key"} {
			fields = append(fields, fmt.Sprintf("%q:%s", f, value))
		}
		return "{" + strings.Join(fields, ",") + "}"
	}
	bodies := map[string]string{
		"half an object":    `{"name":`,
		"no JSON":           `name=garden`,
		"bad UTF-8":         "{\"name\":\"\xff\xfe\"}",
		"a zero byte":       `{"name":"a\u0000","command":"a\u0000"}`,
		"raw zero bytes":    "\x00\x00\x00",
		"an array":          `[[]]`,
		"a number":          `7`,
		"null":              `null`,
		"deep nesting":      strings.Repeat(`{"a":`, 50_000),
		"a huge number":     every(`1e999`),
		"wrong types":       every(`[{"a":null}]`),
		"a long name":       every(`"` + long + `"`),
		"a lone surrogate":  every(`"\ud800"`),
		"a body of 2 MiB":   `{"name":"` + strings.Repeat("x", 2<<20) + `"}`,
		"a path":            every(`"../../etc/passwd"`),
		"an SQL fragment":   every(`"'; DROP TABLE apps; --"`),
		"a header fragment": every(`"a\r\nX-Evil: 1"`),
	}
	for _, field := range []string{"name", "plan", "command", "release", "slug", "addon", "addon_attachment", "description", "source", "type"} {
		bodies["a long "+field] = fmt.Sprintf(`{%q:%q}`, field, long)
	}
	return bodies
}

// TestNoBodyBreaksAnEndpoint sends every hostile body to every endpoint: none
// is answered with a 5xx, and nothing is logged as an error.
func TestNoBodyBreaksAnEndpoint(t *testing.T) {
	t.Parallel()
	s := open(t)
	s.mayLog = "buildpack" // what a build that was asked for ends with is the build's affair
	for i, r := range append(s.api.routes(), s.api.dataRoutes()...) {
		if r.method == get {
			continue
		}
		path := address(r.path, s.target(i))
		for name, body := range hostileBodies() {
			got := s.send(r.method, path, body, "Authorization", "Bearer "+s.token, "Content-Type", "application/json")
			if got.status >= 500 || !isJSON(got.body) {
				t.Errorf("%s %s with %s: %d %.200s", r.method, r.path, name, got.status, got.body)
			}
			if len(body) > maxBody && got.status != http.StatusRequestEntityTooLarge {
				t.Errorf("%s %s with %s: %d", r.method, r.path, name, got.status)
			}
		}
	}
}

// TestNoAddressBreaksAnEndpoint puts hostile names into every address.
func TestNoAddressBreaksAnEndpoint(t *testing.T) {
	t.Parallel()
	s := open(t)
	s.mayLog = "no error is expected"
	names := []string{"%00", "%ff%fe", "..%2f..%2fetc", "%252e%252e", strings.Repeat("x", 8000), "%zz", "~", "a%0d%0aX-Evil:1", "%F0%9F%8C%B1", "'%20OR%201=1--", "-1", "9999999999999999999999", "%2A", ":app", "*"}
	ranges := []string{"", "bytes=0-1", "id \xff..", "id ..; max=0", strings.Repeat("id ..;", 500), "name ]'..; max=1"}
	routes := append(s.api.routes(), s.api.dataRoutes()...)
	for _, o := range s.api.open() {
		routes = append(routes, route{method: o.method, path: o.path})
	}
	for _, r := range routes {
		if !strings.Contains(r.path, ":") && r.method != get {
			continue
		}
		for i, name := range names {
			params := map[string]string{}
			for _, part := range strings.Split(r.path, "/") {
				params[strings.TrimPrefix(part, ":")] = name
			}
			header := ranges[i%len(ranges)]
			got := raw(t, s.url, r.method, address(r.path, params), s.token, header)
			if got.StatusCode >= 500 {
				t.Errorf("%s %s with %.40q, Range %.20q: %d", r.method, r.path, name, header, got.StatusCode)
			}
			if got.Header.Get("X-Evil") != "" {
				t.Errorf("%s %s with %.40q: a header came through", r.method, r.path, name)
			}
		}
	}
}

// raw sends an address as it is, which net/http's client would not, and reads
// the answer's head.
func raw(t *testing.T, base, method, path, token, rangeHeader string) *http.Response {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\nRange: %s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", method, path, token, rangeHeader)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("%s %.60s: %v", method, path, err)
	}
	resp.Body.Close()
	return resp
}

func TestWhatIsLeftOfARequestIsNotTakenForAnother(t *testing.T) {
	t.Parallel()
	s := open(t)
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	in := bufio.NewReader(conn)
	smuggled := "GET /account HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + s.token + "\r\n\r\n"
	for _, path := range []string{"/apps", "/nowhere", "/auth/browser/x"} { // no token, no endpoint, no login
		fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s", path, len(smuggled), smuggled)
		fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", path, len(smuggled), smuggled)
		for range 2 {
			resp, err := http.ReadResponse(in, nil)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			if err != nil || resp.StatusCode == 200 || bytes.Contains(body, []byte(email)) {
				t.Fatalf("%s: %d %s %v", path, resp.StatusCode, body, err)
			}
		}
	}
	fmt.Fprint(conn, "GET /buildpacks HTTP/1.1\r\nHost: localhost\r\n\r\n")
	if resp, err := http.ReadResponse(in, nil); err != nil || resp.StatusCode != 200 {
		t.Errorf("the connection is not in step any more: %v %v", resp, err)
	}
}

func TestHeadersThatAreTooLargeGetAnError(t *testing.T) {
	t.Parallel()
	s := open(t)
	s.send("GET", "/account", nil, "X-Long", strings.Repeat("x", 2*maxHeader)).fails(431, map[string]any{"id": "bad_request"})
}

func TestAPanicBecomesAnErrorWithItsRequestId(t *testing.T) {
	t.Parallel()
	s := open(t, func(r fiber.Router) {
		r.Get("/:app.git/panic", func(*fiber.Ctx) error { panic("a secret") })
		r.Get("/:app.git/error", func(*fiber.Ctx) error { return io.ErrUnexpectedEOF })
	})
	s.mayLog = "level=ERROR"
	for _, path := range []string{"/x.git/panic", "/x.git/error"} {
		got := s.do("GET", path, nil)
		got.fails(500, map[string]any{"id": "internal_server_error"})
		id := got.header.Get("Request-Id")
		if !strings.Contains(got.text("message"), id) || !strings.Contains(s.log.String(), id) || strings.Contains(got.text("message"), "secret") {
			t.Errorf("%s: %s\n%s", path, got.body, s.log)
		}
	}
	s.do("GET", "/account", nil).want(200)
}

func TestSecretsStayOutOfTheLog(t *testing.T) {
	t.Parallel()
	s := open(t)
	log := &logBuffer{}
	s.api.Log = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	s.app("garden")
	s.do("PATCH", "/apps/garden/config-vars", map[string]any{"PASSWORD": "hunter2"}).want(200)
	url := s.session("garden", nil)
	s.send("GET", url, nil).want(200)
	s.send("GET", url+"0", nil).want(404)
	made := s.do("POST", "/oauth/authorizations", nil).want(201)
	_, signature, _ := strings.Cut(url, "signature=")
	for _, secret := range []string{s.token, "hunter2", signature, made.text("access_token", "token")} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("the log holds %s:\n%s", secret, log)
		}
	}
	if !strings.Contains(log.String(), "/apps/:app/config-vars") {
		t.Errorf("the log does not say what was asked:\n%s", log)
	}
}
