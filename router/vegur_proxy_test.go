package router

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"niwa/router/route"
)

// overHTTPAndHTTPS runs a test on both listeners, as vegur_proxy_SUITE is run.
func overHTTPAndHTTPS(t *testing.T, test func(t *testing.T, scheme string, s *stage)) {
	certified := httptest.NewUnstartedServer(nil)
	certified.StartTLS()
	defer certified.Close()
	for scheme, config := range map[string]*tls.Config{"http": nil, "https": {Certificates: certified.TLS.Certificates}} {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			test(t, scheme, setStageTLS(t, Timeouts{}, config))
		})
	}
}

// TestVegurProxies is what vegur_proxy_SUITE looks for in the dyno's request.
func TestVegurProxies(t *testing.T) {
	t.Parallel()
	overHTTPAndHTTPS(t, func(t *testing.T, scheme string, s *stage) {
		_, port, _ := net.SplitHostPort(s.addr)
		client := s.client(t)
		began := time.Now().UnixMilli()
		for name, c := range map[string]struct {
			request string
			toDyno  []string
		}{
			"request_id":              {get("/"), []string{"\r\nX-Request-Id: " + testID + "\r\n"}},
			"request_id, that is not": {strings.Replace(get("/"), testID, "testid??", 1), []string{"\r\nX-Request-Id: ", "!testid"}},
			"forwarded_for": {get("/", "X-Forwarded-For: 10.0.0.1", "X-Forwarded-Proto: ftp", "X-Forwarded-Port: 21"),
				[]string{"\r\nX-Forwarded-For: 10.0.0.1, 127.0.0.1\r\n", "\r\nX-Forwarded-Proto: " + scheme + "\r\n", "\r\nX-Forwarded-Port: " + port + "\r\n", "!ftp", "!X-Forwarded-Peer-Port"}},
			"via":               {get("/"), []string{"\r\nVia: 1.1 heroku-router\r\n"}},
			"host":              {get("/", "X-Forwarded-Host: other.test"), []string{"\r\nHost: app.test\r\n", "\r\nX-Forwarded-Host: other.test\r\n"}},
			"query_string":      {get("/a?b=c&d#e"), []string{"GET /a?b=c&d HTTP/1.1\r\n"}},
			"content_length":    {strings.Replace(post(), "POST", "GET", 1), []string{"\r\nContent-Length: 5\r\n", "\r\n\r\nhello"}},
			"no_content_length": {get("/"), []string{"!Content-Length", "!Transfer-Encoding"}},
		} {
			client.say(t, c.request)
			dyno := s.dyno(t)
			got := dyno.message(t, false)
			holds(t, name+" at the dyno", got, c.toDyno)
			dyno.say(t, answering("Connection: close"))
			holds(t, name+" at the client", client.message(t, false), []string{"200 OK", "\r\nVia: 1.1 heroku-router\r\n"})
			dyno.Close()
			var at int64
			_, start, _ := strings.Cut(got, "\r\nX-Request-Start: ") // start_time_header
			if fmt.Sscanf(start, "%d\r\n", &at); at < began-1000 || at > time.Now().UnixMilli()+1000 {
				t.Errorf("%s: the request began at %d, in %q", name, at, got)
			}
		}
	})
}

// TestVegurStatistics is response_attributes, request_statistics and
// request_keepalive_statistics: what the log has of one request after the other
// on the same two connections.
func TestVegurStatistics(t *testing.T) {
	t.Parallel()
	overHTTPAndHTTPS(t, func(t *testing.T, _ string, s *stage) {
		client, dyno := s.client(t), (*side)(nil)
		for _, answer := range []string{
			answering(),
			"HTTP/1.1 418 Short And Stout\r\nContent-Length: 6\r\nX-Long: " + strings.Repeat("x", 1000) + "\r\n\r\nteapot",
			"HTTP/1.1 204 No Content\r\n\r\n",
			answering(),
		} {
			client.say(t, get("/"))
			connect := "connect=0ms"
			if dyno == nil {
				dyno, connect = s.dyno(t), "connect="
			}
			dyno.message(t, false)
			dyno.say(t, answer)
			client.message(t, strings.Contains(answer, " 204 "))
			status := strings.Fields(answer)[1]
			select {
			case line := <-s.logs:
				holds(t, "the log", line, []string{connect, "ms service=", fmt.Sprintf("ms status=%s bytes=%d ", status, len(answer))})
			case <-time.After(patience):
				t.Fatal("no log line came")
			}
		}
	})
}

// TestVegurAnAppIsServedAtEachOfItsNames is what there is in place of
// herokuapp_redirect.
func TestVegurAnAppIsServedAtEachOfItsNames(t *testing.T) {
	t.Parallel()
	app := named(serving(says(t, answering())))
	h := start(t, app, Timeouts{})
	if err := h.live.Replace(route.Entry{Hosts: []string{"app.herokuapp.test", "www.app.test"}, App: app}); err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"app.herokuapp.test", "www.app.test"} {
		if resp, _, err := h.ask(t, strings.Replace(get("/"), "app.test", host, 1)); err != nil || resp.StatusCode != 200 {
			t.Errorf("%s: got %v, %v", host, resp, err)
		}
	}
}

// TestVegurRefuses is what the suites have the router refuse by itself.
func TestVegurRefuses(t *testing.T) {
	t.Parallel()
	h := start(t, serving(refusing(t)), Timeouts{})
	for name, c := range map[string]struct {
		request string
		status  int
	}{
		"unknown_expect":                  {post("Expect: whatever"), 417},
		"bad_syntax_expect":               {post("Expect: 100 continue"), 400},
		"duplicate_different_lengths_req": {post("Content-Length: 11"), 400},
		"duplicate_csv_lengths_req":       {strings.Replace(post(), "Length: 5", "Length: 5,5", 1), 400},
		"host_conflict":                   {post("Host: bad.app.test"), 400},
		"bad_transfer_encoding":           {get("/", "Transfer-Encoding: ,"), 400},
	} {
		t.Run(name, func(t *testing.T) {
			resp, _, err := h.ask(t, c.request)
			if err != nil || resp.StatusCode != c.status || !resp.Close {
				t.Errorf("got %v, %v; want %d", resp, err, c.status)
			}
		})
	}
}

// TestVegurAnswersThatAreNone are the four for which vegur ends the client's
// connection too: here the client, which saw none of them, keeps it.
func TestVegurAnswersThatAreNone(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"duplicate_different_lengths_resp": answering("Content-Length: 3"),
		"duplicate_csv_lengths_resp":       strings.Replace(answering(), "Length: 2", "Length: 2,2", 1),
		"response_header_line_limits":      answering("Name: " + strings.Repeat("a", 1<<20)),
		"response_status_limits":           "HTTP/1.1 200 " + strings.Repeat("X", 1<<20) + "\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := setStage(t, Timeouts{})
			client := s.client(t)
			for range 2 {
				client.say(t, get("/"))
				dyno := s.dyno(t)
				dyno.message(t, false)
				fmt.Fprint(dyno, answer) // or as much of it as the router takes
				holds(t, "the client", client.message(t, false), []string{"HTTP/1.1 502 Bad Gateway\r\n", "Connection: keep-alive\r\n"})
				if line := s.line(t); !strings.Contains(line, " code=H25 ") {
					t.Errorf("logged %s", line)
				}
				dyno.rest(t)
			}
		})
	}
}
