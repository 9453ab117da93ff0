package wire

import (
	"bytes"
	"strconv"
)

// Chunks reads a chunked body (RFC 9112 §7.1) and writes it anew: the same
// chunks, their sizes in the one way to write them, without extensions. The
// zero value is ready.
type Chunks struct {
	Bare bool // write the data alone, for who cannot read chunks
	Drop bool // leave trailers out that may not be there, in place of failing

	state    chunkState
	last     bool  // the chunk of size 0 is written
	left     int64 // of the chunk's data
	trailers int   // bytes of them so far
}

type chunkState uint8

const (
	atSize chunkState = iota
	inData
	afterData
	inTrailers
	atEnd
)

// ChunkError is a body that is not in chunks.
type ChunkError string

func (e ChunkError) Error() string { return "bad chunk: " + string(e) }

// Done is whether the body has ended.
func (c *Chunks) Done() bool { return c.state == atEnd }

// Append reads as much of src as it can and appends what that comes to. Of src
// it leaves an unfinished line, at most MaxChunkLine, which is to come again
// with more behind it, and what follows the body. An error is a ChunkError;
// what was appended before it is sound.
func (c *Chunks) Append(dst, src []byte) (out []byte, n int, err error) {
	for c.state != atEnd {
		if c.state == inData {
			data := src[n:]
			data = data[:min(int64(len(data)), c.left)]
			dst = append(dst, data...)
			n += len(data)
			if c.left -= int64(len(data)); c.left > 0 {
				return dst, n, nil
			}
			c.state = afterData
		}
		line, end := nextLine(src[n:])
		if end == wrong {
			return dst, n, ChunkError("a line does not end with CR LF")
		}
		if end == partial {
			return dst, n, c.checkPartial(src[n:])
		}
		n += len(line) + len("\r\n")
		if dst, err = c.take(dst, line); err != nil {
			return dst, n, err
		}
	}
	return dst, n, nil
}

// take acts on a line.
func (c *Chunks) take(dst, line []byte) ([]byte, error) {
	switch c.state {
	case atSize:
		size, err := chunkSize(line)
		if err != nil {
			return dst, err
		}
		if size == 0 {
			c.state = inTrailers // written when what follows is sound: it may be taken for the end
			return dst, nil
		}
		c.left, c.state = size, inData
		if !c.Bare {
			dst = append(strconv.AppendInt(dst, size, 16), "\r\n"...)
		}
	case afterData:
		if len(line) > 0 {
			return dst, ChunkError("its data goes on after its size")
		}
		c.state = atSize
		if !c.Bare {
			dst = append(dst, "\r\n"...)
		}
	case inTrailers:
		if len(line) > 0 {
			return c.trailer(dst, line)
		}
		c.state = atEnd
		if dst = c.lastChunk(dst); !c.Bare {
			dst = append(dst, "\r\n"...)
		}
	}
	return dst, nil
}

// lastChunk writes the chunk of size 0, once.
func (c *Chunks) lastChunk(dst []byte) []byte {
	if c.Bare || c.last {
		return dst
	}
	c.last = true
	return append(dst, "0\r\n"...)
}

// checkPartial refuses early what can only get worse.
func (c *Chunks) checkPartial(line []byte) error {
	switch {
	case c.state == afterData && len(line) > 0 && line[0] != '\r':
		return ChunkError("its data goes on after its size")
	case c.state == atSize && len(line) > 0 && !isHex(line[0]):
		return ChunkError("its size is not a number")
	case c.state == atSize && len(line) > maxSizeDigits+maxExtension:
		return ChunkError("its extensions are too long")
	case len(line) > MaxChunkLine:
		return ChunkError("a trailer is too long")
	}
	return nil
}

// trailer passes a field on that comes after the data. What says how the message
// is framed or routed came too late.
func (c *Chunks) trailer(dst, line []byte) ([]byte, error) {
	name, value, ok := cutField(line)
	if c.trailers += len(line); !ok || len(name) > MaxName || len(value) > MaxValue || c.trailers > maxTrailers {
		return dst, ChunkError("a trailer is malformed or too long")
	}
	if forbiddenTrailer(name) {
		if c.Drop {
			return dst, nil
		}
		return dst, ChunkError("a trailer may not be one")
	}
	if c.Bare {
		return dst, nil
	}
	dst = append(AppendName(c.lastChunk(dst), name), ": "...)
	return append(append(dst, value...), "\r\n"...), nil
}

// forbiddenTrailer is whether a field is of no use, or of harm, after the data
// (RFC 9110 §6.5.1).
func forbiddenTrailer(name []byte) bool {
	switch kindOf(name) {
	case Other, Date:
	default:
		return true
	}
	for _, f := range []string{"authorization", "content-encoding", "content-type", "content-range", "cache-control", "max-forwards", "range", "te"} {
		if is(name, f) {
			return true
		}
	}
	return false
}

// nextLine is the next line, without its CR LF.
func nextLine(src []byte) ([]byte, ending) {
	end := bytes.IndexByte(src, '\r')
	if lf := bytes.IndexByte(src[:max(end, 0)], '\n'); lf >= 0 || end < 0 && bytes.IndexByte(src, '\n') >= 0 {
		return nil, wrong
	}
	switch {
	case end < 0 || end == len(src)-1:
		return nil, partial
	case src[end+1] != '\n':
		return nil, wrong
	}
	return src[:end], ended
}

func isHex(c byte) bool { return in(digits, 0x3f<<('A'-64)|0x3f<<('a'-64), c) }

// chunkSize reads the size of a chunk, and that its extensions are such.
func chunkSize(line []byte) (int64, error) {
	n := 0
	var size uint64
	for n < len(line) && isHex(line[n]) {
		if n == maxSizeDigits {
			return 0, ChunkError("its size has too many digits")
		}
		c := line[n]
		if c > '9' {
			c = c&^0x20 - 'A' + 10 + '0'
		}
		size = size<<4 | uint64(c-'0')
		n++
	}
	switch {
	case n == 0:
		return 0, ChunkError("its size is not a number")
	case size > 1<<63-1:
		return 0, ChunkError("its size is too large")
	case len(line)-n > maxExtension:
		return 0, ChunkError("its extensions are too long")
	case !isExtensions(line[n:]):
		return 0, ChunkError("its size is followed by what is no extension")
	}
	return int64(size), nil
}

// isExtensions is whether s is made of ";name", ";name=token" and
// ";name=\"quoted\"", with white space where the grammar suffers it.
func isExtensions(s []byte) bool {
	for len(s) > 0 {
		s = skipOWS(s)
		if len(s) == 0 || s[0] != ';' {
			return false
		}
		name, rest := tokenOf(skipOWS(s[1:]))
		if len(name) == 0 {
			return false
		}
		if value := skipOWS(rest); len(value) > 0 && value[0] == '=' {
			ok := false
			if rest, ok = extensionValue(skipOWS(value[1:])); !ok {
				return false
			}
		}
		s = rest
	}
	return true
}

func extensionValue(s []byte) (rest []byte, ok bool) {
	if len(s) == 0 || s[0] != '"' {
		token, rest := tokenOf(s)
		return rest, len(token) > 0
	}
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			return s[i+1:], true
		case c == '\\':
			i++
			if i == len(s) || !isText(s[i:i+1]) {
				return nil, false
			}
		case !isText(s[i : i+1]):
			return nil, false
		}
	}
	return nil, false
}

func tokenOf(s []byte) (token, rest []byte) {
	n := 0
	for n < len(s) && in(tokenLow, tokenHigh, s[n]) {
		n++
	}
	return s[:n], s[n:]
}

func skipOWS(s []byte) []byte {
	for len(s) > 0 && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
	return s
}
