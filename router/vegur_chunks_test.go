package router

import (
	"strings"
	"testing"

	"niwa/router/wire"
)

// The suites vegur_chunked_SUITE and vegur_unchunked_SUITE: the same bodies,
// written anew as chunks and as the data alone.

const (
	page     = "c\r\n<h1>go!</h1>\r\n1b\r\n<h1>first chunk loaded</h1>\r\n2a\r\n<h1>second chunk loaded and displayed</h1>\r\n29\r\n<h1>third chunk loaded and displayed</h1>\r\n"
	pageData = "<h1>go!</h1><h1>first chunk loaded</h1><h1>second chunk loaded and displayed</h1><h1>third chunk loaded and displayed</h1>"
	crPage   = "c\r\n<h1>go!</h1>\r\n1c\r\n<h1>first chu\rnk loaded</h1>\r\n2b\r\n\r<h1>second chunk loaded and displayed</h1>\r\n2a\r\n<h1>third chunk loaded and displayed</h1>\r\r\n0\r\n\r\n"
	crData   = "<h1>go!</h1><h1>first chu\rnk loaded</h1>\r<h1>second chunk loaded and displayed</h1><h1>third chunk loaded and displayed</h1>\r"
)

// readChunks has pieces come one after the other. What one leaves comes again
// with the next.
func readChunks(c wire.Chunks, pieces ...string) (out, rest string, done bool, err error) {
	var dst, buf []byte
	for _, piece := range pieces {
		buf = append(buf, piece...)
		n := 0
		if dst, n, err = c.Append(dst, buf); err != nil {
			break
		}
		buf = append([]byte(nil), buf[n:]...)
	}
	return string(dst), string(buf), c.Done(), err
}

func TestVegurBodiesInChunks(t *testing.T) {
	for name, c := range map[string]struct {
		body, chunks, data, rest string
		unfinished, bad          bool
	}{
		"html":                               {body: page + "0\r\n\r\n", chunks: page + "0\r\n\r\n", data: pageData},
		"html, unfinished":                   {body: page + "0\r\n", unfinished: true},
		"boundary_chunk":                     {body: "c\r\n<h1>go!</h1>\r\n0\r\n\r\n", chunks: "c\r\n<h1>go!</h1>\r\n0\r\n\r\n", data: "<h1>go!</h1>"},
		"zero_crlf_end":                      {body: "3\r\nabc\r\n0\r\n\r\nGET", chunks: "3\r\nabc\r\n0\r\n\r\n", data: "abc", rest: "GET"},
		"zero_chunk_in_middle":               {body: "3\r\nabc\r\n0\r\n3\r\nabc\r\n\r\n", bad: true},
		"zero_chunk_in_middle, as two":       {body: "3\r\nabc\r\n0\r\n\r\n3\r\nabc\r\n\r\n", chunks: "3\r\nabc\r\n0\r\n\r\n", data: "abc", rest: "3\r\nabc\r\n\r\n"},
		"bad_length":                         {body: "05\r\nthis \r\n07\r\nstring \r\n01\n\r\n00", bad: true},
		"bad_next_chunk":                     {body: "c\r\r\n<h1>go!</h1>\r\n0\r\n", bad: true},
		"embedded_cr":                        {body: crPage, chunks: crPage, data: crData},
		"trailers":                           {body: "3\r\nabc\r\n0\r\nExpires: Sat, 27 Mar 2004 21:12:00 GMT\r\nSome-HEader: with\"a \\\" quoted\"value\r\n\r\n", chunks: "3\r\nabc\r\n0\r\nExpires: Sat, 27 Mar 2004 21:12:00 GMT\r\nSome-Header: with\"a \\\" quoted\"value\r\n\r\n", data: "abc"},
		"trailers, of which one is folded":   {body: "3\r\nabc\r\n0\r\nSome-Header: a\r\n b\r\n\r\n", bad: true},
		"bad_trailers":                       {body: "3\r\nabc\r\n0\r\nLast-Header: aaa\r\nGET some/path HTTP/1.1\r\n", bad: true},
		"short_msg":                          {body: "05\r\nthis \r\n07\r\nstring \r\n12\r\nis chunke", unfinished: true},
		"short_msg, with garbage at its end": {body: "05\r\nthis \r\n0\r\ngarbage\r\n", bad: true},
	} {
		for _, cut := range []string{"whole", "byte by byte"} {
			t.Run(name+", "+cut, func(t *testing.T) {
				pieces := []string{c.body}
				if cut != "whole" {
					pieces = strings.Split(c.body, "")
				}
				for bare, want := range map[bool]string{false: c.chunks, true: c.data} {
					out, rest, done, err := readChunks(wire.Chunks{Bare: bare}, pieces...)
					switch {
					case c.bad && err == nil, !c.bad && err != nil, done == (c.bad || c.unfinished):
						t.Errorf("done %v, %v", done, err)
					case done && (out != want || rest != c.rest):
						t.Errorf("got %q and then %q, want %q", out, rest, want)
					}
				}
			})
		}
	}
}

// TestVegurBodiesComeInAnyPieces is stream, all_bounds_1 and all_bounds_2.
func TestVegurBodiesComeInAnyPieces(t *testing.T) {
	for bare, want := range map[bool]string{false: crPage, true: crData} {
		for i := range len(crPage) {
			for j := i; j < len(crPage); j++ {
				out, rest, done, err := readChunks(wire.Chunks{Bare: bare}, crPage[:i], crPage[i:j], crPage[j:])
				if out != want || rest != "" || !done || err != nil {
					t.Fatalf("cut at %d and %d: %q and then %q, done %v, %v", i, j, out, rest, done, err)
				}
			}
		}
	}
}
