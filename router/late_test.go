package router

import (
	"bufio"
	"net"
	"strings"
	"testing"
)

// leaver is a client that is seen to leave as the last byte of its answer goes.
type leaver struct {
	net.Conn
	client *conn
}

func (l *leaver) Write(p []byte) (int, error) {
	x := &l.client.exchange
	x.mu.Lock()
	x.abort(clientInterrupted)
	x.mu.Unlock()
	return len(p), nil
}

func TestAConnectionOfARequestThatWasGivenUpServesNoOther(t *testing.T) {
	dyno := rawDyno(t, func(c net.Conn, in *bufio.Reader) {
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				return
			}
			if line == "\r\n" {
				c.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))
			}
		}
	})
	h := start(t, serving(dyno), Timeouts{})
	ours, theirs := net.Pipe()
	gone := &leaver{Conn: ours}
	gone.client = h.newConn(gone, origin{peer: "127.0.0.1", scheme: "http", via: "1.1"}, nil, func() bool { return false })
	go gone.client.serve()
	theirs.Write([]byte(get("/")))
	h.line(t)
	theirs.Close()
	c := h.dial(t)
	c.Write([]byte(get("/")))
	if head := readHead(bufio.NewReader(c)); !strings.HasPrefix(head, "HTTP/1.1 200 ") {
		t.Errorf("the next client got %q", head)
	}
}
