package router

import (
	"bufio"
	"errors"
	"io"
	"net/http"
	"os"
	"testing"
	"time"
)

// The cases of uNetworking's h1spec, told anew.

func TestARequestThatIsNotAllThereIsWaitedFor(t *testing.T) {
	t.Parallel()
	h := start(t, serving(httpDyno(t, ok)), Timeouts{})
	const whole = "GET /hello HTTP/1.1\r\nHost: app.test\r\n\r\n"
	for _, n := range []int{1, 4, 10, 11, 15, 19, 20, 21, 24, 26, 27, 35, 36, 37, 38} {
		t.Run(whole[:n], func(t *testing.T) {
			t.Parallel()
			c := h.dial(t)
			io.WriteString(c, whole[:n])
			c.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
			if got, err := io.ReadAll(c); len(got) > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatalf("got %q, %v", got, err)
			}
			c.SetReadDeadline(time.Now().Add(patience))
			io.WriteString(c, whole[n:])
			if resp, _, err := answerOn(bufio.NewReader(c)); err != nil || resp.StatusCode != 200 {
				t.Errorf("the rest is answered %v, %v", resp, err)
			}
		})
	}
}

func TestWhatH1specAsks(t *testing.T) {
	t.Parallel()
	h := start(t, serving(httpDyno(t, func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) })), Timeouts{})
	const host = "Host: app.test\r\n"
	for name, c := range map[string]struct {
		request  string
		from, to int // of the status
		body     string
	}{
		"a header for a request line":     {"X-Invalid: test\r\n\r\n", 400, 499, ""},
		"no Host":                         {"GET / HTTP/1.1\r\n\r\n", 400, 499, ""},
		"two Hosts":                       {"GET / HTTP/1.1\r\n" + host + host + "\r\n", 400, 499, ""},
		"an overflowing negative length":  {"POST / HTTP/1.1\r\n" + host + "Content-Length: -123456789123456789123456789\r\n\r\n", 400, 499, ""},
		"a negative length":               {"POST / HTTP/1.1\r\n" + host + "Content-Length: -1234\r\n\r\n", 400, 499, ""},
		"a length of letters":             {"POST / HTTP/1.1\r\n" + host + "Content-Length: abc\r\n\r\n", 400, 499, ""},
		"a bell in a value":               {"GET / HTTP/1.1\r\n" + host + "X: a\x07b\r\n\r\n", 400, 499, ""},
		"a CR that no LF follows":         {"GET / HTTP/1.1\r\n" + host[:len(host)-2] + "\r\n\rSome-Header: Test\r\n\r\n", 400, 499, ""},
		"no version":                      {"GET / \r\n\r\n", 400, 599, ""},
		"a version that there is not":     {"GET / HTTP/9.9\r\n" + host + "\r\n", 400, 599, ""},
		"a line before the request":       {"Extra lineGET / HTTP/1.1\r\n" + host + "\r\n", 400, 599, ""},
		"a plain request":                 {"GET /hello HTTP/1.1\r\n" + host + "\r\n", 200, 299, ""},
		"a header in another case":        {"GET /hello HTTP/1.1\r\nhoSt:\tapp.test\r\nempty:\r\n\r\n", 200, 299, ""},
		"an empty value":                  {"GET /hello HTTP/1.1\r\n" + host + "X-Empty: \r\n\r\n", 200, 299, ""},
		"a body with a length":            {"POST / HTTP/1.1\r\n" + host + "Content-Length: 5\r\n\r\nhello", 200, 299, "hello"},
		"a body in chunks":                {"POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\nc\r\nHellO world1\r\n0\r\n\r\n", 200, 299, "HellO world1"},
		"an expectation, and no body yet": {"POST / HTTP/1.1\r\n" + host + "Expect: 100-continue\r\nContent-Length: 5\r\n\r\n", 100, 299, ""},
		"a length and chunks":             {"POST / HTTP/1.1\r\n" + host + "CONTENT-length: 5\r\ntransfer-ENCODING: CHUNKED\r\n\r\nc\r\nHellO world1\r\n0\r\n\r\n", 200, 299, "HellO world1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			resp, body, err := h.ask(t, c.request)
			if err != nil || resp.StatusCode < c.from || resp.StatusCode > c.to || c.to == 299 && body != c.body {
				t.Errorf("got %v, %q, %v", resp, body, err)
			}
		})
	}
}
