package apptest

import (
	"bytes"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// proxy stands between an app and its cache. It can be late, and it can be cut.
type proxy struct {
	port string
	to   string
	held atomic.Pointer[held]

	mu    sync.Mutex
	isCut bool
	conns map[net.Conn]bool // of the app
}

// cut ends all connections and refuses new ones; or no longer.
func (p *proxy) cut(isCut bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.isCut = isCut
	for conn := range p.conns {
		if isCut {
			conn.Close()
		}
	}
}

// admit says whether a connection may begin; then it is to leave as well.
func (p *proxy) admit(conn net.Conn) (leave func(), ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.isCut {
		return nil, false
	}
	p.conns[conn] = true
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.conns, conn)
	}, true
}

// held is what is said about scripts while it is in place: it comes later.
type held struct {
	came    chan struct{} // closed when there is something
	release chan struct{} // closed to let it go
	done    chan struct{} // closed when the cache has answered it
}

func startProxy(t *testing.T, to string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	_, port, _ := net.SplitHostPort(l.Addr().String())
	p := &proxy{port: port, to: to, conns: map[net.Conn]bool{}}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go p.serve(conn)
		}
	}()
	return p
}

// hold makes the next script late.
func (p *proxy) hold() *held {
	h := &held{make(chan struct{}), make(chan struct{}), make(chan struct{})}
	p.held.Store(h)
	return h
}

func (p *proxy) serve(conn net.Conn) {
	defer conn.Close()
	leave, ok := p.admit(conn)
	if !ok {
		return
	}
	defer leave()
	server, err := net.Dial("tcp", "127.0.0.1:"+p.to)
	if err != nil {
		return
	}
	var late atomic.Pointer[held]
	go func() {
		defer server.Close()
		p.pump(server, conn, func(said []byte) {
			if h := p.held.Load(); h != nil && bytes.Contains(bytes.ToUpper(said), []byte("EVAL")) && p.held.CompareAndSwap(h, nil) {
				close(h.came)
				<-h.release
				late.Store(h)
			}
		})
		// Who is late does not hear the answer, and it is to be given.
		if h := late.Load(); h != nil {
			<-h.done
		}
	}()
	p.pump(conn, server, func([]byte) {
		if h := late.Swap(nil); h != nil {
			close(h.done)
		}
	})
}

// pump copies, though nobody may listen any more.
func (p *proxy) pump(to, from net.Conn, see func([]byte)) {
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			see(buf[:n])
			_, _ = to.Write(buf[:n])
		}
		if err != nil {
			return
		}
	}
}
