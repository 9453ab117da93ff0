package router

import (
	"bufio"
	"crypto/tls"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"niwa/router/route"
)

func legacy() route.Routing { return route.Routing{Legacy: true} }

func TestAnAppOnTheLegacyRouterIsServedAsItWas(t *testing.T) {
	t.Parallel()
	s := setStageWith(t, legacy(), Config{})
	_, port, _ := strings.Cut(s.addr, ":")
	client := s.client(t)
	for range 2 {
		client.say(t, get("/", "Connect-Time: 5", "Total-Route-Time: 5", "X-Foo: bar"))
		dyno := s.dyno(t) // a new one for each request
		want := strings.ReplaceAll("GET / HTTP/1.1\nHost: app.test\nX-Foo: bar\nConnection: close\nX-Forwarded-For: 127.0.0.1\nX-Forwarded-Proto: http\nX-Forwarded-Port: "+port+
			"\nX-Request-Id: "+testID+"\nX-Request-Start: N\nConnect-Time: N\nTotal-Route-Time: N\nVia: 1.1 vegur\n\n", "\n", "\r\n")
		got := regexp.MustCompile(`(Time|Start): \d+\r`).ReplaceAllString(dyno.message(t, false), "$1: N\r")
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("at the dyno (-want +got):\n%s", diff)
		}
		dyno.say(t, answering("Date: now", "Connect-Time: mine"))
		want = strings.ReplaceAll("HTTP/1.1 200 OK\nDate: now\nConnect-Time: mine\nContent-Length: 2\nServer: Cowboy\nVia: 1.1 vegur\nConnection: keep-alive\n\nok", "\n", "\r\n")
		if diff := cmp.Diff(want, client.message(t, false)); diff != "" {
			t.Errorf("at the client (-want +got):\n%s", diff)
		}
		want = `at=info method=GET path="/" host=app.test request_id=` + testID + ` fwd="127.0.0.1" dyno=web.1 connect=Nms service=Nms status=200 bytes=71 protocol=http`
		if diff := cmp.Diff(want, s.line(t)); diff != "" {
			t.Errorf("logged (-want +got):\n%s", diff)
		}
	}
}

func TestTheLegacyRouterTellsTimes(t *testing.T) {
	t.Parallel()
	certified := certified(t)
	for scheme, config := range map[string]*tls.Config{"http": nil, "https": {Certificates: certified.TLS.Certificates}} {
		s := setStageWith(t, legacy(), Config{TLS: config})
		client := s.client(t)
		for name, field := range map[string]string{"connect_time_header": "Connect-Time", "route_time_header": "Total-Route-Time"} {
			client.say(t, get("/", field+": 123456"))
			dyno := s.dyno(t)
			got := dyno.message(t, false)
			if !regexp.MustCompile(`\r\n`+field+`: \d+\r\n`).MatchString(got) || strings.Contains(got, "123456") {
				t.Errorf("%s, %s: got %q", scheme, name, got)
			}
			dyno.say(t, answering())
			client.message(t, false)
			if line := s.line(t); !strings.HasSuffix(line, " protocol="+scheme) {
				t.Errorf("logged %s", line)
			}
		}
	}
}

func TestAConnectionToTheLegacyRouterIsGoodForAHundredRequests(t *testing.T) {
	t.Parallel()
	app := serving(says(t, answering()))
	app.Routing = legacy()
	h := start(t, app, Timeouts{})
	c := h.dial(t)
	in := bufio.NewReader(c)
	for i := 1; i <= 100; i++ {
		io.WriteString(c, get("/"))
		resp, _, err := answerOn(in)
		if err != nil || resp.StatusCode != 200 || resp.Close != (i == 100) {
			t.Fatalf("answer %d: %v, %v", i, resp, err)
		}
	}
	if _, err := in.ReadByte(); err != io.EOF {
		t.Errorf("then came %v", err)
	}
}

func TestWhatClientsDoWrongIsH26OnTheLegacyRouterOnly(t *testing.T) {
	t.Parallel()
	const asked = ` method=POST path="/" host=app.test request_id=` + testID + ` fwd="127.0.0.1"`
	message := func(body string, fields ...string) string {
		return strings.Replace(get("/", fields...), "GET", "POST", 1) + body
	}
	for name, c := range map[string]struct {
		request string
		status  int
		line    string
	}{
		"an expectation":   {message("", "Content-Length: 5", "Expect: whatever"), 417, `cause="unsupported expect header value"` + asked + nobody + `417 bytes= protocol=http`},
		"a header":         {message("", "Connection: ,"), 400, `cause="bad header"` + asked + nobody + `400 bytes= protocol=http`},
		"a chunk":          {message("XX\r\n", "Transfer-Encoding: chunked"), 400, `cause="bad chunk"` + asked + webOne + `400 bytes=0 protocol=http`},
		"before its Host":  {"POST / HTTP/1.1\r\nConnection: ,\r\nHost: app.test\r\n\r\n", 400, ""},
		"at another place": {"POST / HTTP/1.1\r\nHost: other.test\r\nConnection: ,\r\n\r\n", 400, ""},
		"by its size":      {message("", "Transfer-Encoding: gzip"), 501, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, routing := range []route.Routing{legacy(), {}} {
				app := serving(saysAndWaits(t, ""))
				app.Routing = routing
				h := start(t, app, Timeouts{})
				resp, _, err := h.ask(t, c.request)
				if err != nil || resp.StatusCode != c.status || !resp.Close {
					t.Errorf("got %v, %v", resp, err)
				}
				var got string
				if len(h.logs) > 0 {
					got = h.line(t)
				}
				switch {
				case routing.Legacy && c.line != "" && got != `at=error code=H26 desc="Request Error" `+c.line:
					t.Errorf("logged\n%s\nwant H26\n%s", got, c.line)
				case (!routing.Legacy || c.line == "") && strings.Contains(got, "H26"):
					t.Errorf("logged %s", got)
				}
			}
		})
	}
}

// TestHTTP2EndsBeforeTheLegacyRouter has a client ask for an app on the legacy
// router by its name, and over a connection that was made for another.
func TestHTTP2EndsBeforeTheLegacyRouter(t *testing.T) {
	t.Parallel()
	certified := certified(t)
	app := named(serving(says(t, answering())))
	h := startTLS(t, app, Timeouts{}, &tls.Config{Certificates: certified.TLS.Certificates})
	app.Routing = legacy()
	other := route.App{ID: "other", State: route.Crashed}
	if err := h.live.Replace(route.Entry{Hosts: []string{"app.test"}, App: app}, route.Entry{Hosts: []string{"example.com"}, App: other}); err != nil {
		t.Fatal(err)
	}
	for server, want := range map[string]struct {
		status int
		proto  string
		line   string
	}{
		"app.test":    {200, "HTTP/1.1", "at=info method=GET"},
		"example.com": {421, "HTTP/2.0", `at=error code=H31 desc="Misdirected Request" method=GET path="/" host=app.test request_id=` + testID + ` fwd="127.0.0.1"` + nobody + `421 bytes= protocol=https agent="Go-http-client/2.0"`},
	} {
		transport := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{ServerName: server, InsecureSkipVerify: true}}
		defer transport.CloseIdleConnections()
		r, err := http.NewRequest("GET", "https://"+h.addr+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = "app.test"
		r.Header.Set("X-Request-Id", testID)
		resp, err := (&http.Client{Transport: transport, Timeout: patience}).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want.status || resp.Proto != want.proto {
			t.Errorf("%s: got %s %s", server, resp.Proto, resp.Status)
		}
		if line := h.line(t); !strings.HasPrefix(line, want.line) {
			t.Errorf("%s: logged\n%s\nwant\n%s", server, line, want.line)
		}
	}
}

func TestAnAppWithoutKeepAliveHasAConnectionForEachRequest(t *testing.T) {
	t.Parallel()
	d, made, _ := counting(t, ok)
	app := serving(d)
	app.Routing.NoKeepAlive = true
	h := start(t, app, Timeouts{})
	for range 3 {
		if resp, _, err := h.ask(t, get("/")); err != nil || resp.StatusCode != 200 || resp.Header.Get("Via") != "1.1 heroku-router" {
			t.Errorf("got %v, %v", resp, err)
		}
	}
	if made.Load() != 3 {
		t.Errorf("3 requests made %d connections", made.Load())
	}
}
