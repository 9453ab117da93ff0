//go:build amd64 || arm64

package router

import (
	"syscall"
	"unsafe"
)

// receive and transmit read from a socket, and write to it, what can be at once.
// The calls of package syscall would have the scheduler watch each, and give the
// processor to another thread when one lasts: on a busy machine they all do, and
// threads wake each other without end. These never wait, so it need not know.

func receive(fd uintptr, p []byte, flags int) (int, error) {
	n, _, errno := syscall.RawSyscall6(syscall.SYS_RECVFROM, fd,
		uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), uintptr(flags|syscall.MSG_DONTWAIT), 0, 0)
	return transferred(n, errno)
}

func transmit(fd uintptr, p []byte) (int, error) {
	n, _, errno := syscall.RawSyscall6(syscall.SYS_SENDTO, fd,
		uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), syscall.MSG_DONTWAIT|syscall.MSG_NOSIGNAL, 0, 0)
	return transferred(n, errno)
}

func transferred(n uintptr, errno syscall.Errno) (int, error) {
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
