//go:build unix

package router

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// hungUp says whether who is at the other end of a TCP connection has closed
// it, wholly or for sending, whatever is still to be read.
func hungUp(raw syscall.RawConn) bool {
	return polled(raw, hangUpEvents) & ^unix.POLLIN != 0
}

// spoke says whether there is something to read, the end included.
func spoke(raw syscall.RawConn) bool { return polled(raw, unix.POLLIN|hangUpEvents) != 0 }

// ended says whether nothing is left to read but the end.
func ended(raw syscall.RawConn) (end bool) {
	err := raw.Control(func(fd uintptr) {
		var one [1]byte
		n, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		end = n == 0 && err == nil
	})
	return end || err != nil
}

func polled(raw syscall.RawConn, events int16) (got int16) {
	err := raw.Control(func(fd uintptr) {
		p := []unix.PollFd{{Fd: int32(fd), Events: events}}
		if _, err := unix.Poll(p, 0); err == nil {
			got = p[0].Revents
		}
	})
	if err != nil {
		return unix.POLLERR // it is closed
	}
	return got
}

// rawConn is the way past the poller, where there is one: TLS has none.
func rawConn(c net.Conn) syscall.RawConn {
	if tcp, ok := c.(syscall.Conn); ok {
		if raw, err := tcp.SyscallConn(); err == nil {
			return raw
		}
	}
	return nil
}
