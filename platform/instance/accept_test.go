package instance

import (
	"bytes"
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// moody is a listener that fails as often as it is told, and then has a
// connection for whoever asks.
type moody struct {
	mu     sync.Mutex
	fail   int
	asked  int
	closed chan struct{}
}

func (m *moody) Accept() (net.Conn, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked++
	if m.fail--; m.fail >= 0 {
		return nil, &net.OpError{Op: "accept", Err: syscall.EMFILE}
	}
	conn, _ := net.Pipe()
	return conn, nil
}

func (m *moody) Close() error   { close(m.closed); return nil }
func (m *moody) Addr() net.Addr { return &net.TCPAddr{} }

func patientFor(t *testing.T, fail int) (*patient, *moody, *bytes.Buffer) {
	t.Helper()
	var said bytes.Buffer
	inner := &moody{fail: fail, closed: make(chan struct{})}
	return newPatient(inner, "--router", slog.New(slog.NewTextHandler(&said, nil))), inner, &said
}

func TestAListenerOutlivesALackOfFilesAndSaysSoOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, inner, said := patientFor(t, 700)
		begun := time.Now()
		conn, err := p.Accept()
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
		if took := time.Since(begun); took < 69*time.Second || inner.asked != 701 {
			t.Errorf("it asked %d times in %v", inner.asked, took)
		}
		if n := strings.Count(said.String(), "too many open files"); n != 2 {
			t.Errorf("in 70 s it said %d times:\n%s", n, said)
		}
	})
}

func TestAListenerThatWaitsCanBeClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _, _ := patientFor(t, 1<<30)
		time.AfterFunc(time.Hour, func() { p.Close() })
		if _, err := p.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("got %v", err)
		}
	})
}

func TestThatClientsWaitIsSaidOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said bytes.Buffer
		tell := crowded(slog.New(slog.NewTextHandler(&said, nil)))
		for range 700 {
			tell(2)
			time.Sleep(100 * time.Millisecond)
		}
		if n := strings.Count(said.String(), "connections=2"); n != 2 {
			t.Errorf("in 70 s it said %d times:\n%s", n, &said)
		}
	})
}
