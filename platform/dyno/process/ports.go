package process

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"syscall"
)

// Ports of web dynos: below those that Linux gives to outgoing connections,
// so that one cannot be taken between choosing it and binding it.
const (
	firstPort = 20_000
	lastPort  = 32_000
)

// ports hands out ports of 127.0.0.1.
type ports struct {
	mu   sync.Mutex
	used map[int]bool
}

// take finds a port that nobody listens on and keeps it for the caller.
func (p *ports) take() (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for range 1000 {
		port := firstPort + rand.IntN(lastPort-firstPort)
		if p.used[port] {
			continue
		}
		ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if errors.Is(err, syscall.EADDRINUSE) {
			continue
		}
		if err != nil {
			return 0, err
		}
		p.used[port] = true
		return port, ln.Close()
	}
	return 0, errors.New("no free port between 20000 and 32000 on 127.0.0.1; stop what listens there")
}

// keep keeps a port for a dyno that has it already.
func (p *ports) keep(port int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.used[port] = true
}

// release gives a port back.
func (p *ports) release(port int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.used, port)
}
