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

func TestConnectionsWaitForAPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _, said := patientFor(t, 0)
		l := &limited{patient: p, places: make(places, 2)}
		var conns []net.Conn
		for range 2 {
			conn, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			conns = append(conns, conn)
		}
		time.AfterFunc(time.Minute, func() {
			conns[0].Close()
			conns[0].Close() // which gives no second place
		})
		begun := time.Now()
		if _, err := l.Accept(); err != nil || time.Since(begun) != time.Minute {
			t.Errorf("after %v: %v", time.Since(begun), err)
		}
		if !strings.Contains(said.String(), "connections=2") {
			t.Errorf("it says %q", said)
		}
		time.AfterFunc(time.Hour, func() { l.Close() })
		if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("got %v", err)
		}
	})
}

func TestAppsLeaveFilesToThePlatform(t *testing.T) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if n := cap(appPlaces()); n < 16 || uint64(n) > limit.Cur/2 {
		t.Errorf("of %d files apps have %d connections", limit.Cur, n)
	}
}

func TestAConnectionThatHasAPlaceIsOneOfTCPInAllElse(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &limited{patient: newPatient(ln, "--router", slog.New(slog.DiscardHandler)), places: make(places, 1)}
	defer l.Close()
	client, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	sys, ok := conn.(syscall.Conn)
	if !ok {
		t.Fatal("the router cannot go past the poller")
	}
	raw, err := sys.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Control(func(uintptr) {}); err != nil {
		t.Error(err)
	}
	if half, ok := conn.(interface{ CloseWrite() error }); !ok || half.CloseWrite() != nil {
		t.Error("its writing side alone cannot be closed")
	}
}
