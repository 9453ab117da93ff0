package router

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"niwa/router/route"
	"niwa/router/wire"
)

// recorder is a dyno that keeps what it gets, and answers each request that it
// can read.
type recorder struct {
	route.Dyno
	mu  sync.Mutex
	got strings.Builder
}

func record(t *testing.T) *recorder {
	r := &recorder{}
	r.Dyno = rawDyno(t, func(c net.Conn, in *bufio.Reader) {
		tee := io.TeeReader(in, r)
		var buf []byte
		for {
			var req wire.Request
			req.Reset()
			piece := make([]byte, 4096)
			n, err := tee.Read(piece)
			buf = append(buf, piece[:n]...)
			if err != nil {
				return
			}
			for size, _ := req.Parse(buf); size > 0 && bodyIsIn(&req, buf[size:]); size, _ = req.Parse(buf) {
				io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
				buf = nil
				req.Reset()
			}
		}
	})
	return r
}

func bodyIsIn(r *wire.Request, rest []byte) bool {
	if r.Length() >= 0 {
		return int64(len(rest)) >= r.Length()
	}
	var chunks wire.Chunks
	_, _, err := chunks.Append(nil, rest)
	return err == nil && chunks.Done()
}

func (r *recorder) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.got.Write(p)
}

func (r *recorder) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.got.String()
}

// TestNoPayloadGetsPastTheRouter sends what has confused servers into taking
// one request for two. What must be refused is, once, and ends the connection;
// what must be taken is; and of neither does a dyno ever see a request line
// that the router did not mean as one.
func TestNoPayloadGetsPastTheRouter(t *testing.T) {
	t.Parallel()
	for _, p := range payloads(t) {
		t.Run(p.ID, func(t *testing.T) {
			t.Parallel()
			dyno := record(t)
			h := start(t, serving(dyno.Dyno), Timeouts{})
			if err := h.live.Replace(route.Entry{Hosts: []string{"a.test"}, App: named(serving(dyno.Dyno))}); err != nil {
				t.Fatal(err)
			}
			c := h.dial(t)
			go func() {
				c.Write(p.Request)
				c.(*net.TCPConn).CloseWrite()
			}()
			all, err := io.ReadAll(c)
			if err != nil {
				t.Fatal(err)
			}
			var statuses []string
			for _, m := range regexp.MustCompile(`HTTP/1\.1 (\d{3}) `).FindAllStringSubmatch(string(all), -1) {
				if m[1] != "100" {
					statuses = append(statuses, m[1])
				}
			}
			refused := len(statuses) > 0 && statuses[len(statuses)-1] >= "400"
			if p.Expect == "reject" && !refused || p.Expect == "accept" && (refused || len(statuses) == 0) {
				t.Errorf("it must be %sed, and is answered %v", p.Expect, statuses)
			}
			lines := regexp.MustCompile(`(?m)^[A-Z]+ \S+ HTTP/1\.1\r$`).FindAllString(dyno.String(), -1)
			if inChunk := p.ID == "tecl-basic"; !inChunk && strings.Contains(strings.Join(lines, ""), "/smuggled") && len(statuses) < 2 {
				t.Errorf("the dyno saw %q, the client %v", lines, statuses)
			}
			if p.Expect == "reject" && len(lines) > 0 && !strings.HasPrefix(p.ID, "ck-") {
				t.Errorf("the dyno saw %q", lines)
			}
		})
	}
}

func named(app route.App) route.App {
	app.ID, app.Name = "id-of-app", "app"
	return app
}

type payload struct {
	ID, Expect string
	Request    []byte
}

func payloads(t *testing.T) (all []payload) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("wire", "testdata", "payloads.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

// TestWhatHostileDynosSay is the dyno's side of it: whatever one sends, the
// client gets one answer, and nobody else any of it.
func TestWhatHostileDynosSay(t *testing.T) {
	t.Parallel()
	const okay = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
	for name, c := range map[string]struct {
		answer string
		status int
		body   string
		cut    bool
		code   string
	}{
		"two lengths":                     {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok!", 502, "", false, "H25"},
		"a list of lengths":               {"HTTP/1.1 200 OK\r\nContent-Length: 43,41\r\n\r\n", 502, "", false, "H25"},
		"a length that is none":           {"HTTP/1.1 200 OK\r\nContent-Length: 12 x\r\n\r\n", 502, "", false, "H25"},
		"a negative length":               {"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", 502, "", false, "H25"},
		"a coding of its own":             {"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", 502, "", false, "H25"},
		"a coding behind chunked":         {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\n", 502, "", false, "H25"},
		"chunks in HTTP/1.0":              {"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 502, "", false, "H25"},
		"a length beside chunks":          {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", 200, "ok", false, ""},
		"the same length twice":           {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok", 200, "ok", false, ""},
		"a cookie of 8,193":               {"HTTP/1.1 200 OK\r\nSet-Cookie: " + strings.Repeat("c", 8193) + "\r\n\r\n", 502, "", false, "H25"},
		"a status line of 9 KB":           {"HTTP/1.1 200 " + strings.Repeat("x", 9<<10) + "\r\n\r\n", 502, "", false, "H25"},
		"a header line of 513 KB":         {"HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 513<<10) + "\r\n\r\n", 502, "", false, "H25"},
		"ten thousand headers":            {"HTTP/1.1 200 OK\r\n" + strings.Repeat("X: y\r\n", 10_000) + "\r\n", 502, "", false, "H25"},
		"a header line of 500 KB":         {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: " + strings.Repeat("x", 500<<10) + "\r\n\r\nok", 200, "ok", false, ""},
		"a bare LF":                       {"HTTP/1.1 200 OK\r\nX: a\nY: b\r\n\r\n", 503, "", false, "H17"},
		"a fold":                          {"HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n", 503, "", false, "H17"},
		"a NUL":                           {"HTTP/1.1 200 OK\r\nX: a\x00b\r\n\r\n", 503, "", false, "H17"},
		"a misspelt version":              {"HTP/1.1 200 OK\r\n\r\n", 503, "", false, "H17"},
		"HTTP/2":                          {"HTTP/2 200\r\n\r\n", 503, "", false, "H17"},
		"no reason":                       {"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok", 200, "ok", false, ""},
		"a status of its own":             {"HTTP/1.1 666 THE NUMBER OF THE BEAST\r\nContent-Length: 2\r\n\r\nok", 666, "ok", false, ""},
		"a second answer unasked":         {okay + "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", 200, "ok", false, ""},
		"a body for 204":                  {"HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", 204, "", false, ""},
		"a body for 304":                  {"HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\nevil", 304, "", false, ""},
		"a size that is none":             {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\nxx\r\n", 200, "ok", true, "H18"},
		"a chunk that LF ends":            {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\n0\r\n\r\n", 200, "ok", true, "H18"},
		"a trailer that may not be":       {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nContent-Length: 9\r\n\r\n", 200, "ok", false, ""},
		"a thousand times 100 Continue":   {strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 1000) + okay, 503, "", false, "H17"},
		"extensions in its chunks":        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;a=\"b\"\r\nok\r\n0;c\r\n\r\n", 200, "ok", false, ""},
		"a switch that nobody asked for":  {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", 503, "", false, "H17"},
		"a connection option that is not": {"HTTP/1.1 200 OK\r\nConnection: ,\r\nContent-Length: 2\r\n\r\nok", 503, "", false, "H17"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := start(t, serving(rawDyno(t, func(conn net.Conn, in *bufio.Reader) {
				for readHead(in) != "" {
					io.WriteString(conn, c.answer)
				}
			})), Timeouts{})
			client := h.dial(t)
			in := bufio.NewReader(client)
			io.WriteString(client, get("/"))
			resp, body, err := answerOn(in)
			for err == nil && resp.StatusCode == 100 {
				resp, body, err = answerOn(in)
			}
			if resp == nil || resp.StatusCode != c.status || (err != nil) != c.cut || c.status < 500 && body != c.body {
				t.Fatalf("got %v, %q, %v", resp, body, err)
			}
			if got := h.line(t); (c.code != "") != strings.Contains(got, " code=") || !strings.Contains(got, c.code) {
				t.Errorf("logged %s", got)
			}
			if c.cut {
				return
			}
			// The next request must not get what is left of the first.
			io.WriteString(client, get("/"))
			next, body, err := answerOn(in)
			for err == nil && next.StatusCode == 100 {
				next, body, err = answerOn(in)
			}
			if err != nil || next.StatusCode != c.status || strings.Contains(body, "evil") {
				t.Errorf("the next request got %v, %q, %v", next, body, err)
			}
		})
	}
}

// TestBytesOnAnIdleConnectionReachNobody lets a dyno speak after its answer,
// when the connection is back in the pool.
func TestBytesOnAnIdleConnectionReachNobody(t *testing.T) {
	t.Parallel()
	for _, after := range []time.Duration{0, time.Millisecond, 300 * time.Millisecond} {
		t.Run(after.String(), func(t *testing.T) {
			t.Parallel()
			said := make(chan struct{}, 10)
			h := start(t, serving(rawDyno(t, func(c net.Conn, in *bufio.Reader) {
				readHead(in)
				io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
				time.Sleep(after)
				io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
				said <- struct{}{}
				io.Copy(io.Discard, in)
			})), Timeouts{})
			for range 3 {
				if _, body, err := h.ask(t, get("/")); err != nil || body != "ok" {
					t.Errorf("got %q, %v", body, err)
				}
				<-said
			}
		})
	}
}
