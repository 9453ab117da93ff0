//go:build unix && !(linux && (amd64 || arm64))

package router

import "syscall"

// receive and transmit read from a socket, and write to it, what can be at once.

func receive(fd uintptr, p []byte, flags int) (int, error) {
	n, _, err := syscall.Recvfrom(int(fd), p, flags)
	return max(n, 0), err
}

func transmit(fd uintptr, p []byte) (int, error) {
	n, err := syscall.Write(int(fd), p)
	return max(n, 0), err
}
