package router

import (
	"bufio"
	"io"
	"net"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"niwa/router/wire"
)

// capture is a dyno that hands over the head of each request as it came.
func capture(t *testing.T, answer string) (func(h *harness, request string) string, func() *harness) {
	t.Helper()
	heads := make(chan string, 1)
	d := rawDyno(t, func(c net.Conn, in *bufio.Reader) {
		heads <- readHead(in)
		io.WriteString(c, answer)
	})
	ask := func(h *harness, request string) string {
		t.Helper()
		if _, _, err := h.ask(t, request); err != nil {
			t.Fatal(err)
		}
		head := regexp.MustCompile(`X-Request-Start: \d{13}\r`).ReplaceAllString(<-heads, "X-Request-Start: MS\r")
		_, port, _ := net.SplitHostPort(h.addr)
		return strings.ReplaceAll(head, "Port: "+port, "Port: PORT")
	}
	return ask, func() *harness { return start(t, serving(d), Timeouts{}) }
}

func TestTheDynoGetsTheRoutersHeader(t *testing.T) {
	t.Parallel()
	ask, begin := capture(t, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
	h := begin()
	const own = "X-Forwarded-For: 127.0.0.1\nX-Forwarded-Proto: http\nX-Forwarded-Port: PORT\nX-Request-Id: " + testID + "\nX-Request-Start: MS\nVia: 1.1 heroku-router\n"
	for _, c := range []struct{ name, request, want string }{
		{"a plain GET",
			get("/a/%2F?b=%zz&c"),
			"GET /a/%2F?b=%zz&c HTTP/1.1\nHost: app.test\nConnection: keep-alive\n" + own},
		{"Host keeps its case and port, in front",
			"GET / HTTP/1.1\r\nA: b\r\nHost: APP.test:8080\r\nX-Request-Id: " + testID + "\r\n\r\n",
			"GET / HTTP/1.1\nHost: APP.test:8080\nA: b\nConnection: keep-alive\n" + own},
		{"what the client says of its way is appended to or replaced",
			get("/", "X-Forwarded-For: 1.2.3.4", "X-Forwarded-For: 5.6.7.8", "X-Forwarded-Proto: https", "X-Forwarded-Port: 1", "X-Request-Start: 1", "Via: 1.0 fred", "X-Forwarded-Host: kept"),
			"GET / HTTP/1.1\nHost: app.test\nX-Forwarded-Host: kept\nConnection: keep-alive\n" + strings.NewReplacer("For: ", "For: 1.2.3.4, 5.6.7.8, ", "Via: ", "Via: 1.0 fred, ").Replace(own)},
		{"what belongs to one connection is removed, with what Connection names",
			get("/", "Connection: keep-alive, X-Foo, X-Forwarded-For, X-Request-Id, Host, Content-Length", "X-Foo: gone", "X-Bar: stays", "Keep-Alive: 5", "TE: trailers", "Proxy-Authorization: secret", "Proxy-Connection: x", "X-Forwarded-For: 1.2.3.4", "Upgrade: x"),
			"GET / HTTP/1.1\nHost: app.test\nX-Bar: stays\nConnection: keep-alive\n" + strings.Replace(own, "For: ", "For: 1.2.3.4, ", 1)},
		{"an absolute target becomes a path",
			strings.Replace(get("/"), "GET /", "GET http://app.test?q=1#frag", 1),
			"GET /?q=1 HTTP/1.1\nHost: app.test\nConnection: keep-alive\n" + own},
		{"OPTIONS of the server itself is the app's",
			strings.Replace(get("/"), "GET /", "OPTIONS *", 1),
			"OPTIONS * HTTP/1.1\nHost: app.test\nConnection: keep-alive\n" + own},
		{"HTTP/1.0 becomes 1.1",
			strings.Replace(get("/"), "HTTP/1.1", "HTTP/1.0", 1),
			"GET / HTTP/1.1\nHost: app.test\nConnection: keep-alive\n" + own},
		{"any method goes through, and h2c does not",
			strings.Replace(get("/", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: x"), "GET", "FROBNICATE", 1),
			"FROBNICATE / HTTP/1.1\nHost: app.test\nConnection: close\n" + own},
		{"a POST without a body says so",
			strings.Replace(get("/"), "GET", "POST", 1),
			"POST / HTTP/1.1\nHost: app.test\nConnection: close\nContent-Length: 0\n" + own},
	} {
		if diff := cmp.Diff(c.want+"\n", strings.ReplaceAll(ask(h, c.request), "\r\n", "\n")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

func TestTheClientGetsTheDynosHeader(t *testing.T) {
	t.Parallel()
	const (
		date = "Date: Mon, 01 Jan 2001 00:00:00 GMT\r\n"
		day  = "Date: Mon, 01 Jan 2001 00:00:00 GMT\n"
		own  = "Via: 1.1 heroku-router\nConnection: keep-alive\n"
	)
	for name, c := range map[string]struct{ answer, want string }{
		"the router adds Via and, where there is none, Server": {
			"HTTP/1.1 404 Not Found\r\n" + date + "Content-Length: 2\r\n\r\nno",
			"HTTP/1.1 404 Not Found\n" + day + "Content-Length: 2\nServer: Heroku\n" + own + "\nno"},
		"the app's own Server, reason and Via stay": {
			"HTTP/1.1 500 Oops\r\n" + date + "Server: Puma\r\nVia: 1.1 varnish\r\nContent-Length: 0\r\n\r\n",
			"HTTP/1.1 500 Oops\n" + day + "Server: Puma\nContent-Length: 0\nVia: 1.1 varnish, 1.1 heroku-router\nConnection: keep-alive\n\n"},
		"what belongs to the dyno's connection is removed": {
			"HTTP/1.1 200\r\n" + date + "Connection: X-Foo, Server\r\nX-Foo: gone\r\nServer: x\r\nKeep-Alive: timeout=5\r\nContent-Length: 0\r\n\r\n",
			"HTTP/1.1 200 \n" + day + "Server: x\nContent-Length: 0\n" + own + "\n"},
		"fields keep their order, and have one case": {
			"HTTP/1.1 200 OK\r\n" + date + "set-cookie: b\r\nX-one: 1\r\nSET-COOKIE: a\r\nSet-Cookie: c\r\nContent-Length: 0\r\n\r\n",
			"HTTP/1.1 200 OK\n" + day + "Set-Cookie: b\nX-One: 1\nSet-Cookie: a\nSet-Cookie: c\nContent-Length: 0\nServer: Heroku\n" + own + "\n"},
		"a length that is said twice is said once": {
			"HTTP/1.1 200 OK\r\n" + date + "Content-Length: 2\r\nContent-Length: 2\r\n\r\nok",
			"HTTP/1.1 200 OK\n" + day + "Content-Length: 2\nServer: Heroku\n" + own + "\nok"},
		"early hints go before, and a body without a length is chunked": {
			"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\n" + date + "\r\nall",
			"HTTP/1.1 103 Early Hints\nLink: </a>\n\nHTTP/1.1 200 OK\n" + day + "Transfer-Encoding: chunked\nServer: Heroku\n" + own + "\n3\nall\n0\n\n"},
		"trailers arrive": {
			"HTTP/1.1 200 OK\r\n" + date + "Trailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nall\r\n0\r\nX-Sum: 6\r\n\r\n",
			"HTTP/1.1 200 OK\n" + day + "Trailer: X-Sum\nTransfer-Encoding: chunked\nServer: Heroku\n" + own + "\n3\nall\n0\nX-Sum: 6\n\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := start(t, serving(says(t, c.answer)), Timeouts{})
			client := h.dial(t)
			// A second request, which the router refuses, ends the connection.
			io.WriteString(client, get("/")+"CONNECT x:1 HTTP/1.1\r\nHost: x:1\r\nConnection: close\r\n\r\n")
			all, err := io.ReadAll(client)
			if err != nil {
				t.Fatal(err)
			}
			got, refused, ok := strings.Cut(string(all), "HTTP/1.1 405 ")
			if !ok {
				t.Errorf("the second request was not answered: %q", refused)
			}
			if diff := cmp.Diff(c.want, strings.ReplaceAll(got, "\r\n", "\n")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestARequestIDIsKeptWhenItIsOne(t *testing.T) {
	fresh := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	for id, kept := range map[string]bool{
		testID:                            true,
		strings.Repeat("a", 20):           true,
		strings.Repeat("a", 200):          true,
		"aA0+/=-aA0+/=-aA0+/=-":           true,
		"":                                false,
		strings.Repeat("a", 19):           false,
		strings.Repeat("a", 201):          false,
		strings.Repeat("a", 19) + "?":     false,
		strings.Repeat("a", 20) + "\nx=1": false,
	} {
		if got := isRequestID([]byte(id)); got != kept {
			t.Errorf("%q is kept: %v", id, got)
		}
		if got := string(appendUUID(nil)); !fresh.MatchString(got) {
			t.Errorf("%q is no UUID", got)
		}
	}
}

func TestWhatIsNoRequestIsRefusedByTheRouter(t *testing.T) {
	t.Parallel()
	h := start(t, serving(refusing(t)), Timeouts{})
	for name, c := range map[string]struct {
		request string
		status  int
	}{
		"CONNECT":                       {"CONNECT app.test:443 HTTP/1.1\r\nHost: app.test\r\n\r\n", 405},
		"no Host":                       {"GET / HTTP/1.1\r\n\r\n", 400},
		"two Hosts":                     {"GET / HTTP/1.1\r\nHost: app.test\r\nHost: app.test\r\n\r\n", 400},
		"an empty Host":                 {"GET / HTTP/1.1\r\nHost:\r\n\r\n", 400},
		"* for GET":                     {strings.Replace(get("/"), "GET /", "GET *", 1), 400},
		"upgrade to nothing":            {get("/", "Connection: upgrade"), 400},
		"a long target":                 {get("/" + strings.Repeat("a", 8200)), 414},
		"a long header line":            {get("/", "X: "+strings.Repeat("a", 8193)), 400},
		"a long header name":            {get("/", strings.Repeat("a", 1001)+": x"), 400},
		"too many headers":              {get("/", strings.Repeat("X: y\r\n", 1000)+"Z: z"), 400},
		"a long method":                 {strings.Repeat("A", 128) + " / HTTP/1.1\r\nHost: app.test\r\n\r\n", 400},
		"an expectation it cannot meet": {get("/", "Expect: 200-ok"), 417},
		"a length and another":          {get("/", "Content-Length: 1", "Content-Length: 2"), 400},
		"a coding that is not chunked":  {get("/", "Transfer-Encoding: gzip"), 501},
		"white space before the colon":  {get("/", "X : y"), 400},
	} {
		resp, body, err := h.ask(t, c.request)
		if err != nil || resp.StatusCode != c.status {
			t.Errorf("%s: got %v, %q, %v; want %d", name, resp, body, err, c.status)
		}
	}
	if len(h.logs) > 0 {
		t.Errorf("an app was told of it: %s", h.line(t))
	}
}

func TestHTTP2CannotWriteTheFirstLineToTheDyno(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ method, uri string }{
		{"GET", "/ HTTP/1.1\r\nX: y"},
		{"GET", "/a b"},
		{"GET", "/\x7f"},
		{"GET / HTTP/1.1\r\nX:", "/"},
		{"G T", "/"},
		{"", "/"},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/2.0", 2, 0
		r.Method, r.RequestURI = c.method, c.uri
		head, ok := appendHead(nil, r)
		if !ok {
			continue
		}
		var parsed wire.Request
		parsed.Reset()
		if n, err := parsed.Parse(head); err == nil {
			t.Errorf("%q %q is let through as %q", c.method, c.uri, head[:n])
		}
	}
}

func TestHTTP2MaySayItsHostTwiceButNotTwoHosts(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]bool{"app.test": true, "APP.test": true, "other.test": false} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Host = "app.test"
		r.Header.Set("Host", host)
		head, ok := appendHead(nil, r)
		if ok != want || strings.Count(string(head), "Host: ") != 1 {
			t.Errorf("beside app.test, Host %s is taken: %v\n%s", host, ok, head)
		}
	}
}

func TestTheLogLineHoldsNoForeignFieldOrLine(t *testing.T) {
	t.Parallel()
	ask, begin := capture(t, "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
	h := begin()
	ask(h, get("/\"\xff?a=b\\", "X-Forwarded-For: 1.1.1.1 status=200 \"", "X-Forwarded-For: \xe9"))
	want := `at=info method=GET path="/\"\xff?a=b\\" host=app.test request_id=` + testID +
		` fwd="1.1.1.1 status=200 \", \xe9, 127.0.0.1" dyno=web.1 connect=Nms service=Nms status=204 bytes=46 protocol=http1.1 tls=false`
	if got := h.line(t); got != want {
		t.Errorf("logged\n%s\nwant\n%s", got, want)
	}
}
