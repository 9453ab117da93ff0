package wire

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// a is the Host line of most requests here.
const a = "Host: a.test\r\n"

func TestRequestsThatServersRead(t *testing.T) {
	chunked := "POST / HTTP/1.1\r\n" + a + "Transfer-Encoding: chunked\r\n\r\n"
	long := strings.Repeat("x", 8000)
	for name, tt := range map[string]struct{ conn, want string }{
		"Content-Length: 0 beside chunks": {"POST / HTTP/1.1\r\n" + a + "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", `POST / a.test "hello"`},
		"an empty coding before chunked":  {"POST / HTTP/1.1\r\n" + a + "Transfer-Encoding: ,chunked\r\nContent-Length: 3\r\n\r\n", "400 Transfer-Encoding is not one coding"},
		"a coding in two lines":           {"POST / HTTP/1.1\r\n" + a + "Transfer-Encoding: chunk\r\n ed\r\n\r\n", "501 this Transfer-Encoding is not served"},
		"a name in two lines":             {"POST / HTTP/1.1\r\n" + a + "Transfer-\r\nEncoding: chunked\r\n\r\n", "400 a header line is not a name, a colon and a value"},
		"a name that ends in 0x85":        {"GET / HTTP/1.1\r\n" + a + "X\x85: a\r\n\r\n", "400 a header line is not a name, a colon and a value"},
		"a name that ends in 0xa0":        {"GET / HTTP/1.1\r\n" + a + "X\xa0: a\r\n\r\n", "400 a header line is not a name, a colon and a value"},
		"a coding in 0xa0":                {"POST / HTTP/1.1\r\n" + a + "Transfer-Encoding: \xa0chunked\xa0\r\n\r\n", "400 Transfer-Encoding is not one coding"},
		"an empty length before a real":   {"POST / HTTP/1.1\r\n" + a + "Content-Length:\r\nContent-Length: 5\r\n\r\nhello", "400 Content-Length is not one number"},
		"a length that looks octal":       {"POST / HTTP/1.1\r\n" + a + "Content-Length: 010\r\n\r\nhellohello", `POST / a.test "hellohello"`},
		"a length that ends in a letter":  {"POST / HTTP/1.1\r\n" + a + "Content-Length: 1Z\r\n\r\nh", "400 Content-Length is not one number"},
		"a length before a colon apart":   {"POST / HTTP/1.1\r\n" + a + "Content-Length: 5\r\nContent-Length : 6\r\n\r\nhello!", "400 a header line is not a name, a colon and a value"},
		"a negative length":               {"POST / HTTP/1.1\r\n" + a + "Content-Length: -5\r\n\r\nhello", "400 Content-Length is not one number"},
		"a length with a plus":            {"POST / HTTP/1.1\r\n" + a + "Content-Length: +5\r\n\r\nhello", "400 Content-Length is not one number"},
		"the greatest length":             {"POST / HTTP/1.1\r\n" + a + "Content-Length: 9223372036854775807\r\n\r\n", "POST / a.test; unfinished"},
		"a length beyond the greatest":    {"POST / HTTP/1.1\r\n" + a + "Content-Length: 9223372036854775808\r\n\r\n", "400 Content-Length is not one number"},
		"a size with an underscore":       {chunked + "0_2e\r\n" + long[:46] + "\r\n0\r\n\r\n", "POST / a.test; bad chunk: its size is followed by what is no extension"},
		"a size that two CR follow":       {chunked + "5\r\r;ABCD\r\n0\r\n\r\n", "POST / a.test; bad chunk: a line does not end with CR LF"},
		"a terminator of CR LF and X":     {chunked + "0\r\nX:POST / HTTP/1.1\r\n\r\n", `POST / a.test ""`},
		"a size behind eight spaces":      {chunked + "        5\r\nhello\r\n0\r\n\r\n", "POST / a.test; bad chunk: its size is not a number"},
		"an empty line between chunks":    {chunked + "5\r\nhello\r\n\r\n0\r\n\r\n", "POST / a.test; bad chunk: its size is not a number"},
		"a request behind a bad chunk":    {chunked + "z\r\n\r\nGET /2 HTTP/1.1\r\n" + a + "\r\n", "POST / a.test; bad chunk: its size is not a number"},
		"a bare CR before a line":         {"GET / HTTP/1.1\r\n" + a[:len(a)-2] + "\r\n\rZGET /evil: HTTP/1.1\r\n\r\n", "400 a header line is not a name, a colon and a value"},
		"a colon alone":                   {"GET / HTTP/1.1\r\n" + a + ":\r\n\r\n", "400 a header line is not a name, a colon and a value"},
		"a length without a colon":        {"POST / HTTP/1.1\r\n" + a + "Content-Length 10\r\n\r\n", "400 a header line is not a name, a colon and a value"},
		"a method that is no token":       {"G=\":<>(e),[T];?\" / HTTP/1.1\r\n" + a + "\r\n", "400 the method is not a token of at most 127 characters"},
		"a version out of bounds":         {"GET / HTTP/4294967295.255\r\n" + a + "\r\n", "400 the version of HTTP is malformed"},
		"a version with CRs":              {"GET / HTTP/\r\r1.1\r\n" + a + "\r\n", "400 the version of HTTP is malformed"},
		"a target that LF ends":           {"GET /\nHTTP/1.1\r\n" + a + "\r\n", "400 a line does not end with CR LF"},
		"garbage after the last request":  {"GET / HTTP/1.1\r\n" + a + "Connection: close\r\n\r\n\x00\x00garbage", `GET / a.test ""`},
		"a NUL after the last chunk":      {chunked + "0\r\n\r\n\x00", `POST / a.test ""; 400 this is not HTTP`},
		"the same expectation twice":      {"POST / HTTP/1.1\r\n" + a + "Expect: 100-continue\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx", `POST / a.test "x"`},
		"an expectation and no body":      {"POST / HTTP/1.1\r\n" + a + "Expect: 100-continue\r\nContent-Length: 0\r\n\r\n", `POST / a.test ""`},
		"an expectation that is no token": {"POST / HTTP/1.1\r\n" + a + "Expect: 100 continue\r\nContent-Length: 1\r\n\r\nx", "400 Expect is not an expectation"},
		"an empty expectation":            {"POST / HTTP/1.1\r\n" + a + "Expect:\r\nContent-Length: 1\r\n\r\nx", `POST / a.test "x"`},
		"an upgrade with a body":          {"GET / HTTP/1.1\r\n" + a + "Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 5\r\n\r\nhello", `GET / a.test "hello"`},
		"close beside keep-alive":         {"GET / HTTP/1.1\r\n" + a + "Connection: close, close, keep-alive\r\n\r\nGET /2 HTTP/1.1\r\n", `GET / a.test ""`},
		"a Host with a dot":               {"GET / HTTP/1.1\r\nHost: a.test.\r\n\r\n", `GET / a.test. ""`},
		"a Host in punycode":              {"GET / HTTP/1.1\r\nHost: xn--bcher-kva.test\r\n\r\n", `GET / xn--bcher-kva.test ""`},
		"a Host with a padded port":       {"GET / HTTP/1.1\r\nHost: a.test:0080\r\n\r\n", `GET / a.test:0080 ""`},
		"a Host with an empty port":       {"GET / HTTP/1.1\r\nHost: a.test:\r\n\r\n", `GET / a.test: ""`},
		"a Host in brackets":              {"GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", `GET / [::1]:80 ""`},
		"a Host in brackets, with a zone": {"GET / HTTP/1.1\r\nHost: [fe80::1%25eth0]\r\n\r\n", "400 Host is not a host and a port"},
		"a Host with a user":              {"GET / HTTP/1.1\r\nHost: me@a.test\r\n\r\n", "400 Host is not a host and a port"},
		"a target that means harm":        {"GET /%00/%0d%0a/../a//b;jsessionid=1?x=\xe9 HTTP/1.1\r\n" + a + "\r\n", "GET /%00/%0d%0a/../a//b;jsessionid=1?x=\xe9 a.test \"\""},
		"a fragment":                      {"GET /a?b#c HTTP/1.1\r\n" + a + "\r\n", `GET /a?b a.test ""`},
		"an address without a path":       {"GET http://a.test?q HTTP/1.1\r\n" + a + "\r\n", `GET /?q a.test ""`},
		"an address of another host":      {"GET http://b.test/ HTTP/1.1\r\n" + a + "\r\n", "400 the request target and Host are at odds"},
		"five empty lines first":          {strings.Repeat("\r\n", 5) + "GET / HTTP/1.1\r\n" + a + "\r\n", `GET / a.test ""`},
		"64 KB of empty lines first":      {strings.Repeat("\r\n", 32<<10) + "GET / HTTP/1.1\r\n" + a + "\r\n", "400 too many empty lines before the request"},
		"a target of 8,200":               {"GET /" + long + strings.Repeat("y", 199) + " HTTP/1.1\r\n" + a + "\r\n", "GET /" + long + strings.Repeat("y", 199) + ` a.test ""`},
		"a target of 10,000":              {"GET /" + long + long[:2000] + " HTTP/1.1\r\n" + a + "\r\n", "414 the request target is too long"},
		"a value of 8,192":                {"GET / HTTP/1.1\r\n" + a + "X: " + long + long[:192] + "\r\n\r\n", `GET / a.test ""`},
		"a name of 1,000":                 {"GET / HTTP/1.1\r\n" + a + long[:1000] + ": 1\r\n\r\n", `GET / a.test ""`},
		"a name of 2,100":                 {"GET / HTTP/1.1\r\n" + a + long[:2100] + ": 1\r\n\r\n", "400 a header line is too long"},
		"a thousand headers":              {"GET / HTTP/1.1\r\n" + a + strings.Repeat("X: 1\r\n", 999) + "\r\n", `GET / a.test ""`},
		"a request line that never ends":  {"GET /" + long + long, "414 the request line is too long"},
		"a header line that never ends":   {"GET / HTTP/1.1\r\nX: " + long + long, "400 a header line is too long"},
		"a header that never ends":        {"GET / HTTP/1.1\r\n" + strings.Repeat("X: "+long+"\r\n", 131), "431 the header is too large"},
		"no Host in HTTP/1.0":             {"GET / HTTP/1.0\r\n\r\n", "400 there is no Host"},
		"what is TLS":                     {"\x16\x03\x01\x02\x00\x01", "400 this is not HTTP"},
		"CONNECT to an address":           {"CONNECT http://a.test/ HTTP/1.1\r\n" + a + "\r\n", "400 the target of CONNECT is not a host and a port"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := verdict(read([]byte(tt.conn))); got != tt.want {
				t.Errorf("got  %.200s\nwant %.200s", got, tt.want)
			}
		})
	}
}

func parse(t testing.TB, head string) *Request {
	t.Helper()
	var r Request
	r.Reset()
	if n, err := r.Parse([]byte(head)); err != nil || n != len(head) {
		t.Fatalf("%q: %d of %d bytes, %v", head, n, len(head), err)
	}
	return &r
}

func TestWhatARequestAsksOfItsConnection(t *testing.T) {
	for name, tt := range map[string]struct {
		version, fields string
		close, cont     bool
		upgrade         string
	}{
		"nothing":                    {version: "1.1"},
		"nothing, in HTTP/1.0":       {version: "1.0", close: true},
		"to keep it, in HTTP/1.0":    {version: "1.0", fields: "Connection: Keep-Alive\r\n"},
		"to close it":                {version: "1.1", fields: "Connection: foo\r\nConnection: CLOSE\r\n", close: true},
		"to wait":                    {version: "1.1", fields: "Expect: 100-Continue\r\nContent-Length: 1\r\n", cont: true},
		"to wait, in HTTP/1.0":       {version: "1.0", fields: "Expect: 100-continue\r\nContent-Length: 1\r\n", close: true},
		"to wait without a body":     {version: "1.1", fields: "Expect: 100-continue\r\n"},
		"another protocol":           {version: "1.1", fields: "Connection: Upgrade\r\nUpgrade: websocket\r\n", upgrade: "websocket"},
		"one, in HTTP/1.0":           {version: "1.0", fields: "Connection: Upgrade\r\nUpgrade: websocket\r\n", close: true},
		"one without meaning it":     {version: "1.1", fields: "Upgrade: websocket\r\n"},
		"HTTP/2":                     {version: "1.1", fields: "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: A\r\n"},
		"HTTP/2, hidden among other": {version: "1.1", fields: "Connection: Upgrade\r\nUpgrade: websocket, H2C\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			r := parse(t, "POST / HTTP/"+tt.version+"\r\n"+a+tt.fields+"\r\n")
			if r.Close != tt.close || r.Continue != tt.cont || string(r.Upgrade) != tt.upgrade {
				t.Errorf("close %v, continue %v, upgrade %q", r.Close, r.Continue, r.Upgrade)
			}
		})
	}
}

func TestConnectionNamesFieldsThatGoNoFurther(t *testing.T) {
	r := parse(t, "GET / HTTP/1.1\r\n"+a+"Connection: x-foo, Host, X-Forwarded-For, close, , Cookie\r\nX-Foo: 1\r\nX-Bar: 2\r\nX-Forwarded-For: ::1\r\nCookie: a=b\r\n\r\n")
	var named []string
	for _, f := range r.Fields() {
		if r.Nominated(f) {
			named = append(named, string(r.Name(f)))
		}
	}
	if want := []string{"X-Foo"}; !slices.Equal(named, want) {
		t.Errorf("%q, want %q", named, want)
	}
}

func TestEveryByteOfAValueIsLookedAt(t *testing.T) {
	for c := range 256 {
		for at := range 20 {
			value := bytes.Repeat([]byte{0xe9}, 20)
			value[at] = byte(c)
			want := c >= ' ' && c != 0x7f || c == '\t'
			if got := isText(value); got != want {
				t.Errorf("%#x at %d: %v", c, at, got)
			}
		}
	}
}

func TestNamesAreWrittenInOneCase(t *testing.T) {
	for name, want := range map[string]string{"cONtENT-lEnGTH": "Content-Length", "x-request-ID": "X-Request-Id", "_a--b1c": "_a--B1c", "ETag": "Etag"} {
		if got := string(AppendName(nil, []byte(name))); got != want {
			t.Errorf("%s is written %s, want %s", name, got, want)
		}
	}
}

func TestAWarmRequestCostsNoAllocation(t *testing.T) {
	head := []byte("GET /users/1?x=y HTTP/1.1\r\n" + a + "User-Agent: test\r\nAccept: */*\r\nConnection: keep-alive, x\r\nContent-Length: 5\r\n\r\n")
	var r Request
	once := func() {
		r.Reset()
		if n, err := r.Parse(head); n == 0 || err != nil {
			t.Fatal(n, err)
		}
	}
	once()
	if n := testing.AllocsPerRun(100, once); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkRequest(b *testing.B) {
	head := []byte("GET /users/1?x=y HTTP/1.1\r\n" + a + "User-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\nAccept: text/html,application/xhtml+xml\r\nAccept-Encoding: gzip, deflate, br\r\nAccept-Language: en\r\nCookie: session=0123456789abcdef\r\n\r\n")
	var r Request
	b.SetBytes(int64(len(head)))
	b.ReportAllocs()
	for b.Loop() {
		r.Reset()
		if _, err := r.Parse(head); err != nil {
			b.Fatal(err)
		}
	}
}

// FuzzRequest holds what is accepted against net/http: where that accepts it as
// well, both see the same request.
func FuzzRequest(f *testing.F) {
	for _, p := range payloads(f) {
		f.Add(p.Request)
	}
	f.Fuzz(func(t *testing.T, conn []byte) {
		var r Request
		r.Reset()
		n, err := r.Parse(conn)
		if err != nil || n == 0 {
			return
		}
		for _, f := range r.Fields() {
			if !isToken(r.Name(f)) || !isText(r.Value(f)) {
				t.Fatalf("a field of %q: %q", r.Name(f), r.Value(f))
			}
		}
		theirs, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(conn)))
		if err != nil {
			return
		}
		target := string(r.AppendTarget(nil))
		if !r.absolute && !strings.HasPrefix(theirs.RequestURI, target) {
			t.Errorf("the target is %q or %q", target, theirs.RequestURI)
		}
		if string(r.Method()) != theirs.Method || !r.absolute && string(r.Host()) != theirs.Host || int64(r.Minor) != int64(theirs.ProtoMinor) {
			t.Errorf("%s %s, HTTP/1.%d or %s %s, HTTP/1.%d", r.Method(), r.Host(), r.Minor, theirs.Method, theirs.Host, theirs.ProtoMinor)
		}
		if r.Length() != theirs.ContentLength {
			t.Fatalf("the body is of %d or %d bytes", r.Length(), theirs.ContentLength)
		}
		sameBody(t, &r, conn[n:], theirs.Body)
	})
}

// sameBody compares a body that both can read.
func sameBody(t *testing.T, r *Request, rest []byte, theirs io.Reader) {
	body, _, err := readBody(r, rest)
	if err != nil {
		if errors.Is(err, errUnfinished) && r.Length() >= 0 {
			return
		}
		return // the strict one may refuse what the other reads
	}
	want, err := io.ReadAll(theirs)
	if err == nil && !bytes.Equal(body, want) {
		t.Errorf("the body is %q or %q", body, want)
	}
}
