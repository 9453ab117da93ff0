package router

import (
	"fmt"
	"syscall"
	"testing"

	"niwa/router/route"
)

// unreachable is a dyno whose listener has no room for one more connection,
// so that connecting hangs as if the host were gone.
func unreachable(t *testing.T) route.Dyno {
	t.Helper()
	socket := func() int {
		fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { syscall.Close(fd) })
		return fd
	}
	ln := socket()
	loopback := &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}
	if err := syscall.Bind(ln, loopback); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(ln, 0); err != nil {
		t.Fatal(err)
	}
	bound, err := syscall.Getsockname(ln)
	if err != nil {
		t.Fatal(err)
	}
	loopback.Port = bound.(*syscall.SockaddrInet4).Port
	for range 4 {
		if err := syscall.Connect(socket(), loopback); err != nil && err != syscall.EINPROGRESS {
			t.Fatal(err)
		}
	}
	return route.Dyno{Name: "web.1", Addr: fmt.Sprintf("127.0.0.1:%d", loopback.Port)}
}
