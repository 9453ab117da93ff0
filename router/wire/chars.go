package wire

import (
	"bytes"
	"encoding/binary"
)

// The sets of bytes below 128 that grammars are made of, a bit for each.
const (
	digits  uint64 = 0x3ff << '0'
	letters uint64 = 0x3ffffff<<('A'-64) | 0x3ffffff<<('a'-64)

	tokenLow  = digits | 1<<'!' | 1<<'#' | 1<<'$' | 1<<'%' | 1<<'&' | 1<<'\'' | 1<<'*' | 1<<'+' | 1<<'-' | 1<<'.'
	tokenHigh = letters | 1<<('^'-64) | 1<<('_'-64) | 1<<('`'-64) | 1<<('|'-64) | 1<<('~'-64)

	hostLow  = digits | 1<<'-' | 1<<'.'
	hostHigh = letters | 1<<('_'-64) | 1<<('~'-64)
)

// in is whether c is in a set. What is shifted too far is 0, and so there is no
// branch to guess: names go from one half to the other at every hyphen.
func in(low, high uint64, c byte) bool { return (low>>c|high>>(c-64))&1 == 1 }

func all(low, high uint64, s []byte) bool {
	ok := uint64(1)
	for _, c := range s {
		ok &= low>>c | high>>(c-64)
	}
	return ok == 1 && len(s) > 0
}

// isToken is whether s is a token (RFC 9110 §5.6.2).
func isToken(s []byte) bool { return all(tokenLow, tokenHigh, s) }

func isDigits(s []byte) bool { return all(digits, 0, s) }

// isText is whether s can be the value of a field: no control character but
// HTAB (RFC 9110 §5.5). Values are most of what is read, so eight bytes at a time
// are looked at first.
func isText(s []byte) bool {
	for len(s) >= 8 {
		if w := binary.LittleEndian.Uint64(s); anyBelow(w, ' ') || anyBelow(w^0x7f7f7f7f7f7f7f7f, 1) {
			if !isPlainText(s[:8]) {
				return false
			}
		}
		s = s[8:]
	}
	return isPlainText(s)
}

func isPlainText(s []byte) bool {
	for _, c := range s {
		if c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// anyBelow is whether any of the eight bytes of w is below n, which is at most
// 128.
func anyBelow(w uint64, n byte) bool {
	const each = 0x0101010101010101
	return (w-each*uint64(n))&^w&(each<<7) != 0
}

// isTarget is whether s has no blank and no control character.
func isTarget(s []byte) bool {
	for _, c := range s {
		if c <= ' ' || c == 0x7f {
			return false
		}
	}
	return len(s) > 0
}

// trimOWS takes the optional white space off both ends.
func trimOWS(s []byte) []byte {
	for len(s) > 0 && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
	for len(s) > 0 && (s[len(s)-1] == ' ' || s[len(s)-1] == '\t') {
		s = s[:len(s)-1]
	}
	return s
}

// is compares without regard to case; lower has none that is upper.
func is(s []byte, lower string) bool {
	if len(s) != len(lower) {
		return false
	}
	for i, c := range s {
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// member cuts the first member off a list, without its white space.
func member(list []byte) (first, rest []byte, more bool) {
	first, rest, more = bytes.Cut(list, []byte(","))
	return trimOWS(first), rest, more
}

// number is the value of decimal digits; it is false unless s is that and fits.
func number(s []byte) (n int64, ok bool) {
	if !isDigits(s) {
		return 0, false
	}
	for _, c := range s {
		if n > (1<<63-1-int64(c-'0'))/10 {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}

// AppendName appends a field name in the one case that the router writes:
// Train-Case.
func AppendName(dst, name []byte) []byte {
	from := len(dst)
	dst = append(dst, name...)
	upper := true
	for i, c := range dst[from:] {
		letter := c | 0x20
		if 'a' <= letter && letter <= 'z' {
			if upper {
				letter &^= 0x20
			}
			dst[from+i] = letter
		}
		upper = c == '-'
	}
	return dst
}
