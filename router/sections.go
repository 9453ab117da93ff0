package router

import (
	"slices"

	"golang.org/x/net/http2/hpack"
)

const (
	headersFrame      = 0x1
	continuationFrame = 0x9
	endHeaders        = 0x4
	padded            = 0x8
	prioritized       = 0x20
)

// sections looks through the header and trailer sections of a connection of
// HTTP/2 for fields that belong to a connection of HTTP/1.1. A section with one
// is malformed (RFC 9113 §8.2.2), which net/http answers with a 400; here its
// stream is reset, as of any other that is. The way to that is a field which
// nobody can misunderstand, at the end of the section: its name is in upper case.
// What the two ends have agreed on in compressing stays as it is.
type sections struct {
	decoder  *hpack.Decoder // nil once it was given what is no section
	mistaken bool           // the section at hand
}

// unnameable is a field of HPACK: literal, not indexed, its name X, its value empty.
const unnameable = "\x00\x01X\x00"

// maxSection bounds what is remembered of a field that goes on in the next frame.
const maxSection = 1 << 20

func newSections() *sections {
	s := &sections{}
	s.decoder = hpack.NewDecoder(4096, func(f hpack.HeaderField) { s.mistaken = s.mistaken || ofConnection(f) })
	s.decoder.SetMaxStringLength(maxSection)
	return s
}

// ofConnection is whether a field has no place in HTTP/2.
func ofConnection(f hpack.HeaderField) bool {
	switch f.Name {
	case "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade":
		return true
	case "te":
		return f.Value != "trailers" && f.Value != ""
	}
	return false
}

// check reads a frame of HEADERS or CONTINUATION, and returns what is to be read
// in its place. What is wrong with it otherwise is left to net/http.
func (s *sections) check(frame []byte) []byte {
	from, to := fragment(frame)
	if s.decoder == nil || from > to {
		s.decoder = nil
		return frame
	}
	if _, err := s.decoder.Write(frame[from:to]); err != nil {
		s.decoder = nil
		return frame
	}
	if frame[4]&endHeaders == 0 {
		return frame
	}
	mistaken := s.mistaken
	s.mistaken = false
	if err := s.decoder.Close(); err != nil {
		s.decoder = nil
	}
	if length := len(frame) - frameHeader + len(unnameable); mistaken && length <= bufferSize {
		frame = slices.Insert(frame, to, []byte(unnameable)...)
		putLength(frame, length)
	}
	return frame
}

// fragment is where the part of a section lies in a frame; from is more than to
// where it cannot lie anywhere.
func fragment(frame []byte) (from, to int) {
	from, to = frameHeader, len(frame)
	if frame[3] != headersFrame {
		return from, to
	}
	if frame[4]&padded != 0 {
		if from == to {
			return 1, 0
		}
		to -= int(frame[from])
		from++
	}
	if frame[4]&prioritized != 0 {
		from += 5
	}
	return from, to
}

func putLength(frame []byte, length int) {
	frame[0], frame[1], frame[2] = byte(length>>16), byte(length>>8), byte(length)
}
