package redis

import (
	"bufio"
	"errors"
	"net"
	"strconv"
	"sync"
)

// Bounds of what a client may send to the embedded server. Redis itself takes
// a million arguments and half a gigabyte; this is memory of niwa's own.
const (
	maxArguments = 1 << 20
	maxArgument  = 64 << 20
)

var errProtocol = errors.New("a Redis client sent something that is not a command")

// guarded is a connection whose reader sees well-formed commands alone.
// miniredis, made for tests, allocates whatever a length says and panics at
// an empty command.
type guarded struct {
	net.Conn
	closed func() // called once, when the connection is
	once   sync.Once

	in      *bufio.Reader
	args    int    // arguments of the present command that are still to come
	body    int    // bytes of the present argument that are still to come
	pending []byte // read from the client, not yet by the library
}

// Close closes the connection.
func (g *guarded) Close() error {
	g.once.Do(g.closed)
	return g.Conn.Close()
}

// Read reads the next checked piece of a command.
func (g *guarded) Read(p []byte) (int, error) {
	if g.in == nil {
		g.in = bufio.NewReader(g.Conn)
	}
	if len(g.pending) == 0 && g.body == 0 {
		if err := g.header(); err != nil {
			return 0, err
		}
	}
	if len(g.pending) > 0 {
		n := copy(p, g.pending)
		g.pending = g.pending[n:]
		return n, nil
	}
	n, err := g.in.Read(p[:min(len(p), g.body)])
	g.body -= n
	return n, err
}

// header reads the line that begins a command or an argument.
func (g *guarded) header() error {
	kind, bound := byte('$'), maxArgument
	if g.args == 0 {
		kind, bound = '*', maxArguments
	}
	for {
		line, err := g.in.ReadSlice('\n')
		if err != nil {
			return err
		}
		n, err := length(line, kind)
		if err != nil || n > bound {
			return errProtocol
		}
		if kind == '*' && n == 0 {
			continue // Redis ignores an empty command
		}
		g.pending = append([]byte(nil), line...)
		if kind == '*' {
			g.args = n
		} else {
			g.args, g.body = g.args-1, n+2
		}
		return nil
	}
}

// length reads a line like *3 or $5.
func length(line []byte, kind byte) (int, error) {
	if len(line) < 4 || line[0] != kind || line[len(line)-2] != '\r' {
		return 0, errProtocol
	}
	n, err := strconv.Atoi(string(line[1 : len(line)-2]))
	if err != nil || n < 0 {
		return 0, errProtocol
	}
	return n, nil
}
