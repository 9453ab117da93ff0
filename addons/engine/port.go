package engine

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"syscall"
)

// Servers listen below the ports that systems hand out to outgoing
// connections, so that a port is still free when its server comes back.
const (
	firstPort = 15000
	lastPort  = 30000
)

// FreePort chooses a port that nothing listens on at any of the hosts.
func FreePort(hosts ...string) (int, error) {
	for range 100 {
		port := firstPort + rand.IntN(lastPort-firstPort)
		if CheckPort(port, hosts...) == nil {
			return port, nil
		}
	}
	return 0, fmt.Errorf("no free port found between %d and %d", firstPort, lastPort)
}

// ErrPortTaken is wrapped by CheckPort's error when another process listens.
var ErrPortTaken = errors.New("in use by another process")

// CheckPort says whether a server could listen on a port of the hosts.
func CheckPort(port int, hosts ...string) error {
	for _, host := range hosts {
		l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
		if errors.Is(err, syscall.EADDRINUSE) {
			return fmt.Errorf("port %d, which the config vars of apps name, is %w; stop that process and start niwa again", port, ErrPortTaken)
		}
		if err == nil {
			err = l.Close()
		}
		if err != nil {
			return err
		}
	}
	return nil
}
