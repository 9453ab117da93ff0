package wire

import (
	"bufio"
	"bytes"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
)

func answer(head string) (r Response, n int, err error) {
	r.Reset()
	n, err = r.Parse([]byte(head))
	return r, n, err
}

func TestAnswersThatDynosGive(t *testing.T) {
	long := strings.Repeat("x", 9000)
	for name, tt := range map[string]struct {
		head string
		want error
	}{
		"a plain one":                   {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", nil},
		"no reason":                     {"HTTP/1.1 200\r\n\r\n", nil},
		"a blank reason":                {"HTTP/1.1 421 \r\n\r\n", nil},
		"a status of its own":           {"HTTP/1.1 666 THE NUMBER OF THE BEAST\r\n\r\n", nil},
		"HTTP/1.0":                      {"HTTP/1.0 200 OK\r\n\r\n", nil},
		"the same length twice":         {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n", nil},
		"a reason in Latin-1":           {"HTTP/1.1 200 \xe9\r\n\r\n", nil},
		"a misspelt version":            {"HTP/1.1 200 OK\r\n\r\n", Malformed},
		"HTTP/2":                        {"HTTP/2 200\r\n\r\n", Malformed},
		"HTTP/1.2":                      {"HTTP/1.2 200 OK\r\n\r\n", Malformed},
		"no version":                    {"200 OK\r\n\r\n", Malformed},
		"a status of two digits":        {"HTTP/1.1 99 OK\r\n\r\n", Malformed},
		"a status of four":              {"HTTP/1.1 1000 OK\r\n\r\n", Malformed},
		"a status with a letter":        {"HTTP/1.1 2x0 OK\r\n\r\n", Malformed},
		"a status below 100":            {"HTTP/1.1 099 OK\r\n\r\n", Malformed},
		"a control character in it":     {"HTTP/1.1 200 O\x00K\r\n\r\n", Malformed},
		"two lengths":                   {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n", InvalidLength},
		"a list of lengths":             {"HTTP/1.1 200 OK\r\nContent-Length: 43,41\r\n\r\n", InvalidLength},
		"a length and junk":             {"HTTP/1.1 200 OK\r\nContent-Length: 12 x\r\n\r\n", InvalidLength},
		"a negative length":             {"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", InvalidLength},
		"a coding nobody asked for":     {"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", InvalidCoding},
		"two codings":                   {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\n", InvalidCoding},
		"the same coding twice":         {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", InvalidCoding},
		"chunks in HTTP/1.0":            {"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", InvalidCoding},
		"a bare LF":                     {"HTTP/1.1 200 OK\r\nX: a\nY: b\r\n\r\n", Malformed},
		"a fold":                        {"HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n", Malformed},
		"a NUL":                         {"HTTP/1.1 200 OK\r\nX: a\x00b\r\n\r\n", Malformed},
		"a space in a name":             {"HTTP/1.1 200 OK\r\nX y: a\r\n\r\n", Malformed},
		"a cookie of 8,193":             {"HTTP/1.1 200 OK\r\nSet-Cookie: " + strings.Repeat("c", 8193) + "\r\n\r\n", OversizedCookie},
		"a status line of 9 KB":         {"HTTP/1.1 200 " + long + "\r\n\r\n", OversizedStatusLine},
		"a status line without end":     {"HTTP/1.1 200 " + long, OversizedStatusLine},
		"a header line of 513 KB":       {"HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 513<<10) + "\r\n\r\n", OversizedHeader},
		"a header line without end":     {"HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 513<<10), OversizedHeader},
		"ten thousand headers":          {"HTTP/1.1 200 OK\r\n" + strings.Repeat("X: y\r\n", 10_000) + "\r\n", OversizedHeader},
		"what is not HTTP, at its head": {"SSH-2.0-", Malformed},
	} {
		t.Run(name, func(t *testing.T) {
			_, n, err := answer(tt.head)
			if !errors.Is(err, tt.want) || tt.want == nil && n != len(tt.head) {
				t.Errorf("%d of %d bytes, %v; want %v", n, len(tt.head), err, tt.want)
			}
		})
	}
}

func TestWhereAnAnswerEnds(t *testing.T) {
	for name, tt := range map[string]struct {
		head  string
		asked string
		want  Framing
	}{
		"after its length":             {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", "GET", Counted},
		"after its chunks":             {"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n", "GET", Chunked},
		"after its chunks, not length": {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n", "GET", Chunked},
		"with its connection":          {"HTTP/1.1 200 OK\r\n\r\n", "GET", UntilClose},
		"at once, for HEAD":            {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", "HEAD", NoBody},
		"at once, for 204":             {"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", "GET", NoBody},
		"at once, for 304":             {"HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\n", "GET", NoBody},
		"at once, for 103":             {"HTTP/1.1 103 Early Hints\r\n\r\n", "GET", NoBody},
	} {
		t.Run(name, func(t *testing.T) {
			r, _, err := answer(tt.head)
			if err != nil {
				t.Fatal(err)
			}
			if got := r.Framing(tt.asked == "HEAD"); got != tt.want {
				t.Errorf("framing %d, want %d", got, tt.want)
			}
		})
	}
}

func TestWhetherTheDynoTakesAnotherRequest(t *testing.T) {
	for head, want := range map[string]bool{
		"HTTP/1.1 200 OK\r\n\r\n":                           false,
		"HTTP/1.1 200 OK\r\nConnection: x, Close\r\n\r\n":   true,
		"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n": true,
	} {
		if r, _, err := answer(head); err != nil || r.Close != want {
			t.Errorf("%q: close %v, %v", head, r.Close, err)
		}
	}
}

// FuzzResponse holds what is accepted against net/http, and against itself with
// the bytes cut in two.
func FuzzResponse(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nSet-Cookie: a=b\r\n\r\nok"), 3)
	f.Add([]byte("HTTP/1.0 404\r\nTransfer-Encoding: chunked\r\n\r\n"), 9)
	f.Fuzz(func(t *testing.T, conn []byte, cut int) {
		r, n, err := answer(string(conn))
		if err != nil || n == 0 {
			return
		}
		var again Response
		again.Reset()
		if _, err := again.Parse(slices.Clone(conn[:min(max(cut, 0), n-1)])); err != nil {
			t.Fatalf("cut at %d it fails: %v", cut, err)
		}
		if m, err := again.Parse(conn); m != n || err != nil {
			t.Fatalf("cut at %d it ends at %d, not %d; %v", cut, m, n, err)
		}
		theirs, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(conn)), nil)
		if err != nil {
			return
		}
		if r.Status != theirs.StatusCode || r.Minor != theirs.ProtoMinor {
			t.Errorf("HTTP/1.%d %d or HTTP/1.%d %d", r.Minor, r.Status, theirs.ProtoMinor, theirs.StatusCode)
		}
		if f := r.Framing(false); f == Counted && theirs.ContentLength != r.Length() || f == Chunked && len(theirs.TransferEncoding) == 0 {
			t.Errorf("framing %d of %d bytes or %v of %d", f, r.Length(), theirs.TransferEncoding, theirs.ContentLength)
		}
	})
}

func BenchmarkResponse(b *testing.B) {
	head := []byte("HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Mon, 01 Jan 2001 00:00:00 GMT\r\nContent-Type: text/plain\r\n" +
		"Content-Length: 1024\r\nLast-Modified: Mon, 01 Jan 2001 00:00:00 GMT\r\nConnection: keep-alive\r\nETag: \"5a4e9c00-400\"\r\nAccept-Ranges: bytes\r\n\r\n")
	var r Response
	b.SetBytes(int64(len(head)))
	b.ReportAllocs()
	for b.Loop() {
		r.Reset()
		if n, err := r.Parse(head); n != len(head) || err != nil {
			b.Fatal(n, err)
		}
	}
}
