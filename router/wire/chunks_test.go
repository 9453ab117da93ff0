package wire

import (
	"bytes"
	"errors"
	"io"
	"net/http/httputil"
	"strings"
	"testing"
)

// rewrite reads a chunked body that comes in these pieces. What a piece leaves
// comes again with the next.
func rewrite(c Chunks, pieces ...string) (out, rest string, done bool, err error) {
	var buf, dst []byte
	for _, piece := range pieces {
		buf = append(buf, piece...)
		var n int
		dst, n, err = c.Append(dst, buf)
		buf = append([]byte(nil), buf[n:]...)
		if err != nil || c.Done() {
			break
		}
	}
	return string(dst), string(buf), c.Done(), err
}

func TestChunksAreWrittenAnew(t *testing.T) {
	for name, tt := range map[string]struct{ in, whole, bare, rest string }{
		"one chunk":                    {"5\r\nhello\r\n0\r\n\r\n", "5\r\nhello\r\n0\r\n\r\n", "hello", ""},
		"sizes in every way":           {"0000A\r\n0123456789\r\na\r\n0123456789\r\n00\r\n\r\n", "a\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n", "01234567890123456789", ""},
		"extensions":                   {"1;a\r\nx\r\n1 ; b=c ;d=\"e;\\\"\r\"\r\n", "", "", "!"},
		"extensions, well formed":      {"1;a\r\nx\r\n1 ; b=c ;d=\"e;\\\"\"\r\ny\r\n0;last\r\n\r\n", "1\r\nx\r\n1\r\ny\r\n0\r\n\r\n", "xy", ""},
		"trailers":                     {"1\r\nx\r\n0\r\nx-sum:  1 \r\nDate: today\r\n\r\nGET", "1\r\nx\r\n0\r\nX-Sum: 1\r\nDate: today\r\n\r\n", "x", "GET"},
		"nothing":                      {"0\r\n\r\n", "0\r\n\r\n", "", ""},
		"data that looks like framing": {"7\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n", "7\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n", "\r\n0\r\n\r\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			out, rest, done, err := rewrite(Chunks{}, tt.in)
			bare, _, _, bareErr := rewrite(Chunks{Bare: true}, tt.in)
			if tt.rest == "!" {
				if err == nil || bareErr == nil {
					t.Error("it is let through")
				}
				return
			}
			if err != nil || bareErr != nil || !done || out != tt.whole || bare != tt.bare || rest != tt.rest {
				t.Errorf("%q and %q, then %q; done %v; %v, %v", out, bare, rest, done, err, bareErr)
			}
		})
	}
}

func TestHowChunksAreCutIntoPiecesDoesNotMatter(t *testing.T) {
	const body = "5;a=\"b\"\r\nhello\r\nC\r\nHello, world\r\n0\r\nX-Sum: 1\r\n\r\n"
	want, _, _, _ := rewrite(Chunks{}, body)
	for i := range len(body) {
		for j := i; j < len(body); j++ {
			got, rest, done, err := rewrite(Chunks{}, body[:i], body[i:j], body[j:])
			if got != want || rest != "" || !done || err != nil {
				t.Fatalf("cut at %d and %d: %q, then %q; done %v; %v", i, j, got, rest, done, err)
			}
		}
	}
	if got, _, done, err := rewrite(Chunks{}, strings.Split(body, "")...); got != want || !done || err != nil {
		t.Errorf("byte by byte: %q; done %v; %v", got, done, err)
	}
}

func TestBodiesThatAreNotInChunks(t *testing.T) {
	for name, in := range map[string]string{
		"a size that LF ends":             "01\n\r\nx\r\n0\r\n\r\n",
		"a size with two CR":              "c\r\r\nhello, world\r\n0\r\n\r\n",
		"a CR in a size":                  "1\r2\r\n",
		"no size":                         "\r\nhello\r\n",
		"a size in hexadecimal, for C":    "0x5\r\nhello\r\n0\r\n\r\n",
		"a negative size":                 "-1\r\n\r\n",
		"a size of 17 digits":             "00000000000000005\r\nhello\r\n0\r\n\r\n",
		"a size beyond the greatest":      "8000000000000000\r\n",
		"data beyond its size":            "5\r\nhello!\r\n0\r\n\r\n",
		"data short of its size":          "6\r\nhello\r\n0\r\n\r\n",
		"a space behind the size":         "5 \r\nhello\r\n0\r\n\r\n",
		"an extension without a name":     "5;\r\nhello\r\n0\r\n\r\n",
		"an extension with a bare LF":     "5;a\nhello\r\n0\r\n\r\n",
		"an extension that is not closed": "5;a=\"b\r\nhello\r\n0\r\n\r\n",
		"an endless extension":            "5;" + strings.Repeat("a", 5000),
		"an extension of 5,000":           "5;" + strings.Repeat("a", 5000) + "\r\nhello\r\n0\r\n\r\n",
		"a request for a trailer":         "0\r\nGET / HTTP/1.1\r\n\r\n",
		"a folded trailer":                "0\r\nX: a\r\n b\r\n\r\n",
		"a length for a trailer":          "0\r\nContent-Length: 5\r\n\r\n",
		"a coding for a trailer":          "0\r\nTransfer-Encoding: chunked\r\n\r\n",
		"a host for a trailer":            "0\r\nHost: b.test\r\n\r\n",
		"the client's address, late":      "0\r\nX-Forwarded-For: ::1\r\n\r\n",
		"an endless trailer":              "0\r\nX: " + strings.Repeat("a", 10000),
		"endless trailers":                "0\r\n" + strings.Repeat("X: "+strings.Repeat("a", 8000)+"\r\n", 10) + "\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			if out, _, _, err := rewrite(Chunks{}, in); err == nil {
				t.Errorf("it is let through as %.80q", out)
			}
			var bad ChunkError
			if _, _, _, err := rewrite(Chunks{}, strings.Split(in, "")...); !errors.As(err, &bad) {
				t.Errorf("byte by byte it is let through, or fails with %v", err)
			}
		})
	}
}

func TestTrailersThatMayNotBeAreLeftOutOfAnswers(t *testing.T) {
	out, _, done, err := rewrite(Chunks{Drop: true}, "0\r\nX-Sum: 1\r\nContent-Length: 9\r\nSet-Cookie: a=b\r\n\r\n")
	if out != "0\r\nX-Sum: 1\r\n\r\n" || !done || err != nil {
		t.Errorf("%q, done %v, %v", out, done, err)
	}
}

// FuzzChunks holds what is accepted against net/http's reader, and what is
// written against this one.
func FuzzChunks(f *testing.F) {
	for _, s := range []string{"5\r\nhello\r\n0\r\n\r\n", "5;a=b;c=\"d\"\r\nhello\r\n0\r\nX: y\r\n\r\n", "0\r\n\r\n"} {
		f.Add([]byte(s), 3)
	}
	f.Fuzz(func(t *testing.T, body []byte, cut int) {
		cut = min(max(cut, 0), len(body))
		bare, rest, done, err := rewrite(Chunks{Bare: true}, string(body))
		cutBare, _, cutDone, cutErr := rewrite(Chunks{Bare: true}, string(body[:cut]), string(body[cut:]))
		if (err == nil) != (cutErr == nil) || done != cutDone || err == nil && bare != cutBare {
			t.Fatalf("cut at %d it is %q, %v, %v; whole %q, %v, %v", cut, cutBare, cutDone, cutErr, bare, done, err)
		}
		if err != nil || !done {
			return
		}
		theirs, err := io.ReadAll(httputil.NewChunkedReader(bytes.NewReader(body)))
		if err == nil && string(theirs) != bare {
			t.Errorf("the data is %q or %q", bare, theirs)
		}
		out, _, _, _ := rewrite(Chunks{}, string(body))
		again, end, done, err := rewrite(Chunks{}, out+rest)
		if again != out || end != rest || !done || err != nil {
			t.Errorf("%q is written anew as %q, then %q; done %v, %v", out, again, end, done, err)
		}
	})
}
