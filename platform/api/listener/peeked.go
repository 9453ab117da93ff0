package listener

import (
	"bufio"
	"net"
	"time"
)

// maxHead is the longest head of a CONNECT request, in bytes.
const maxHead = 4 << 10

// peeked is a connection whose first bytes were looked at.
type peeked struct {
	net.Conn
	r *bufio.Reader // nil when all it held was read
}

// look waits for the first byte of a connection.
func look(conn net.Conn) (*peeked, error) {
	p := &peeked{Conn: conn, r: bufio.NewReaderSize(conn, maxHead)}
	return p, p.look()
}

// look waits for the next byte.
func (p *peeked) look() error {
	if err := p.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	_, err := p.r.Peek(1)
	return err
}

// begins says whether what comes begins with a prefix; it waits for more only
// while that may be.
func (p *peeked) begins(prefix string) (bool, error) {
	for n := 1; n <= len(prefix); n++ {
		b, err := p.r.Peek(n)
		if err != nil {
			return false, err
		}
		if b[n-1] != prefix[n-1] {
			return false, nil
		}
	}
	return true, nil
}

// Read gives what was looked at first, and then reads the connection itself.
func (p *peeked) Read(b []byte) (int, error) {
	if p.r == nil {
		return p.Conn.Read(b)
	}
	if held := p.r.Buffered(); held > 0 {
		return p.r.Read(b[:min(len(b), held)])
	}
	p.r = nil
	return p.Conn.Read(b)
}
